"""ResNet-50 v1.5 image classification: MLPerf Training's `resnet`, Inference's `resnet50`, and a small one of both."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import (
    Benchmark,
    InferenceTask,
    OpenData,
    OpenSamples,
    QualityTarget,
    TrainingTask,
)
from tfperf.benchmarks.images.sources import SOURCES
from tfperf.benchmarks.resnet50 import answers, keras_applications, rules
from tfperf.benchmarks.resnet50.options import Options
from tfperf.benchmarks.tensor import Tensor

if TYPE_CHECKING:
    import keras


def _build_model(options: Options) -> keras.Model:
    from tfperf.benchmarks.resnet50 import model

    return model.build(options)


def _compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: Options) -> None:
    from tfperf.benchmarks.resnet50 import model as resnet

    resnet.compile_model(model, optimizer, options)


def _open_data(data: spec.Data, options: Options, data_dir: pathlib.Path | None) -> OpenData:
    from tfperf.benchmarks.images import data as photographs
    from tfperf.benchmarks.resnet50 import preprocessing

    return photographs.open_data(data, preprocessing.of(options), data_dir)


def _open_samples(data: spec.Data, options: Options, data_dir: pathlib.Path | None) -> OpenSamples:
    from tfperf.benchmarks.images import samples
    from tfperf.benchmarks.resnet50 import preprocessing

    return samples.open_samples(data, preprocessing.of(options), data_dir)


def _inputs(options: Options) -> tuple[Tensor, ...]:
    return (Tensor(name="image", shape=(options.image_size, options.image_size, 3)),)


def _outputs(options: Options) -> tuple[Tensor, ...]:
    return (Tensor(name="probabilities", shape=(options.classes,)),)


# Target, counts and cadence: training_rules.adoc of mlcommons/training_policies and closed_resnet.yaml of
# mlcommons/logging, ruleset 4.0.0, the last round with ResNet.
BENCHMARK = Benchmark(
    name="resnet50",
    mlperf=True,
    training=TrainingTask(
        quality=QualityTarget(metric="accuracy", value=0.759),
        ruleset="4.0.0",
        submission_benchmark="resnet",
        train_examples=1_281_167,
        eval_examples=50_000,
        evaluation_interval=rules.EVALUATE_EVERY_EPOCHS,
        parameters=25_557_032,
        options=Options(),
        tunable=(("label_smoothing", (0.0, 0.1)),),
        build_model=_build_model,
        compile_model=_compile_model,
        open_data=_open_data,
        sources=SOURCES,
        rules=rules.training,
    ),
    # Scenarios, target (99 % of the reference), bound and counts: inference_rules.adoc of
    # mlcommons/inference_policies, and MODEL_CONFIG of tools/submission/submission_checker of mlcommons/inference.
    inference=InferenceTask(
        quality=QualityTarget(metric="accuracy", value=round(0.7646 * 0.99, 6)),
        reference_quality=0.7646,
        loadgen_model="resnet50",
        submission_benchmark="resnet",
        scenarios=("singlestream", "multistream", "server", "offline"),
        closed_scenarios=("singlestream", "multistream", "offline"),
        eval_samples=50_000,
        performance_samples=1024,
        server_latency_bound_ns=15_000_000,
        audits=("TEST01", "TEST04"),
        parameters=25_557_032,
        options=Options(),
        build_model=_build_model,
        sources=SOURCES,
        inputs=_inputs,
        outputs=_outputs,
        open_samples=_open_samples,
        responder=answers.responder,
        scoring=answers.SCORING,
        rules=rules.inference,
        foreign_weights=(keras_applications.RESNET50,),
    ),
)
_TRAINED, _SERVED = BENCHMARK.training, BENCHMARK.inference
assert _TRAINED is not None and _SERVED is not None
_MINI_OPTIONS = Options(image_size=64, blocks=(1, 1, 1, 1), width=16, classes=8, least_crop_area=0.5)

MINI = Benchmark(
    name="resnet50_mini",
    mini_of="resnet50",
    training=dataclasses.replace(
        _TRAINED,
        quality=QualityTarget(metric="accuracy", value=0.80),
        train_examples=None,
        eval_examples=None,
        evaluation_interval=None,
        parameters=None,
        options=_MINI_OPTIONS,
        tunable=(),
        rules=None,
    ),
    inference=dataclasses.replace(
        _SERVED,
        quality=QualityTarget(metric="accuracy", value=round(0.80 * 0.99, 6)),
        reference_quality=0.80,
        eval_samples=None,
        parameters=None,
        options=_MINI_OPTIONS,
        rules=None,
    ),
)

BENCHMARKS = (BENCHMARK, MINI)
