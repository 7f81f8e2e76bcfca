"""SSD300-ResNet34 object detection: MLPerf Training's `ssd` of the rounds up to 1.1, and a small one; both served."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import (
    Benchmark,
    InferenceTask,
    OpenData,
    OpenSamples,
    QualityTarget,
    Respond,
    Scorer,
    TrainingTask,
)
from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.detection import answers, pictures
from tfperf.benchmarks.detection.data.sources import SOURCES
from tfperf.benchmarks.ssd import checkpoint, rules
from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.benchmarks.tensor import Tensor
from tfperf.events import Event

if TYPE_CHECKING:
    import keras
    import numpy as np

_FIRST_CLASS = 1  # class 0 is the background


def _find_weights(options: SsdOptions, data_dir: pathlib.Path | None) -> None:
    tensor_files.find(options.backbone, data_dir, option="backbone")


def _build_model(options: SsdOptions) -> keras.Model:
    from tfperf.benchmarks.ssd import model

    return model.build(options)


def _compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: SsdOptions) -> None:
    from tfperf.benchmarks.ssd import model as ssd

    ssd.compile_model(model, optimizer, options)


def _open_data(data: spec.Data, options: SsdOptions, data_dir: pathlib.Path | None) -> OpenData:
    from tfperf.benchmarks.ssd import data as images

    _find_weights(options, data_dir)
    return images.open_data(data, options, data_dir)


def _scorer(options: SsdOptions) -> Scorer:
    from tfperf.benchmarks.detection.scorer import DetectionScorer

    return DetectionScorer(first_class=_FIRST_CLASS)


def _initial_weights(options: SsdOptions, data_dir: pathlib.Path | None) -> Mapping[str, np.ndarray | None] | None:
    from tfperf.benchmarks.ssd import initial

    return initial.initial_weights(options, data_dir)


def _logged(options: SsdOptions) -> Iterable[Event]:
    from tfperf.benchmarks.ssd import logged

    return logged.events(options)


def _open_samples(data: spec.Data, options: SsdOptions, data_dir: pathlib.Path | None) -> OpenSamples:
    from tfperf.benchmarks.ssd import data as images

    return images.open_samples(data, options, data_dir)


def _inputs(options: SsdOptions) -> tuple[Tensor, ...]:
    return (Tensor(name="image", shape=(options.image_size, options.image_size, 3)),)


def _outputs(options: SsdOptions) -> tuple[Tensor, ...]:
    from tfperf.benchmarks.ssd.model import SsdOutput

    return (SsdOutput.tensor(),)


def _responder(samples: OpenSamples) -> Respond:
    return answers.responder(samples, first_class=_FIRST_CLASS)


# Target, counts and cadence: training_rules.adoc of mlcommons/training_policies and closed_ssd.yaml of
# mlcommons/logging, ruleset 1.1.0, the last round with this network. Of COCO 2017's 118,287 training images, 117,266
# have objects.
_MAP = 0.23
BENCHMARK = Benchmark(
    name="ssd",
    mlperf=True,
    training=TrainingTask(
        quality=QualityTarget(metric="map", value=_MAP),
        ruleset="1.1.0",
        submission_benchmark="ssd",
        train_examples=117_266,
        eval_examples=5_000,
        evaluation_interval=rules.EVALUATE_EVERY_EPOCHS,
        parameters=19_972_534,
        options=SsdOptions(),
        tunable=(("max_samples", (1, 50)),),
        left_to_rules=("backbone",),
        sources=SOURCES,
        build_model=_build_model,
        compile_model=_compile_model,
        open_data=_open_data,
        rules=rules.training,
        scorer=_scorer,
        initial_weights=_initial_weights,
        find_weights=_find_weights,
        logged=_logged,
    ),
    # MLPerf Inference never had this network: its ssd-resnet34, until round v2.0, takes 1,200 x 1,200 pixels. The bound
    # and the number of samples are those of that one and of RetinaNet, whose settings LoadGen still has.
    inference=InferenceTask(
        quality=QualityTarget(metric="map", value=round(_MAP * 0.99, 6)),
        reference_quality=_MAP,
        loadgen_model="retinanet",
        submission_benchmark="ssd-resnet34",
        scenarios=("singlestream", "multistream", "server", "offline"),
        closed_scenarios=(),
        eval_samples=5_000,
        performance_samples=64,
        server_latency_bound_ns=100_000_000,
        parameters=19_972_534,
        options=SsdOptions(),
        sources=SOURCES,
        build_model=_build_model,
        inputs=_inputs,
        outputs=_outputs,
        open_samples=_open_samples,
        responder=_responder,
        scoring=answers.SCORING,
        rules=rules.inference,
        checkpoints=checkpoint.SERVED,
        picture=pictures.picture,
    ),
)
_TRAINED, _SERVED = BENCHMARK.training, BENCHMARK.inference
assert _TRAINED is not None and _SERVED is not None
_MINI_OPTIONS = SsdOptions(
    image_size=96,
    blocks=(1, 1, 1),
    width=16,
    classes=8,
    extra_widths=(64, 64),
    extra_strides=(2, 2),
    steps=(8, 16, 32),
    scales=(14, 26, 46, 76),
    ratios=((2,), (2,), (2,)),
)
_MINI_MAP = 0.40

MINI = Benchmark(
    name="ssd_mini",
    mini_of="ssd",
    training=dataclasses.replace(
        _TRAINED,
        quality=QualityTarget(metric="map", value=_MINI_MAP),
        train_examples=None,
        eval_examples=None,
        evaluation_interval=None,
        parameters=None,
        options=_MINI_OPTIONS,
        tunable=(),
        left_to_rules=(),
        rules=None,
    ),
    inference=dataclasses.replace(
        _SERVED,
        quality=QualityTarget(metric="map", value=round(_MINI_MAP * 0.99, 6)),
        reference_quality=_MINI_MAP,
        eval_samples=None,
        parameters=None,
        options=_MINI_OPTIONS,
        rules=None,
    ),
)
_SMALL, _SMALL_SERVED = MINI.training, MINI.inference
assert _SMALL is not None and _SMALL_SERVED is not None

# A small network for photographs with boxes of one's own, in Pascal VOC's layout and scored by its rules.
_VOC_OPTIONS = SsdOptions(
    image_size=160,
    blocks=(1, 1, 1),
    width=24,
    classes=20,
    extra_widths=(96, 96),
    extra_strides=(2, 2),
    steps=(8, 16, 32),
    scales=(12, 28, 54, 90),
    ratios=((2,), (2,), (2,)),
)
_VOC_MAP = 0.70
VOC = Benchmark(
    name="ssd_voc",
    mini_of="ssd",
    training=dataclasses.replace(
        _SMALL, quality=QualityTarget(metric=answers.VOC, value=_VOC_MAP), options=_VOC_OPTIONS
    ),
    inference=dataclasses.replace(
        _SMALL_SERVED,
        quality=QualityTarget(metric=answers.VOC, value=round(_VOC_MAP * 0.99, 6)),
        reference_quality=_VOC_MAP,
        options=_VOC_OPTIONS,
        scoring=answers.VOC_SCORING,
    ),
)
BENCHMARKS = (BENCHMARK, MINI, VOC)
