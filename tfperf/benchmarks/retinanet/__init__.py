"""RetinaNet-ResNeXt50-FPN object detection: MLPerf's `retinanet` in training, until round 4.1 `ssd`, and inference."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import (
    Benchmark,
    InferenceTask,
    OpenData,
    OpenSamples,
    QualityTarget,
    Scorer,
    TrainingTask,
)
from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.detection import answers, pictures
from tfperf.benchmarks.detection.data.sources import SOURCES
from tfperf.benchmarks.retinanet import checkpoint, rules
from tfperf.benchmarks.retinanet.options import RetinaNetOptions
from tfperf.benchmarks.tensor import Tensor

if TYPE_CHECKING:
    import keras
    import numpy as np


def _find_weights(options: RetinaNetOptions, data_dir: pathlib.Path | None) -> None:
    tensor_files.find(options.backbone, data_dir, option="backbone")


def _build_model(options: RetinaNetOptions) -> keras.Model:
    from tfperf.benchmarks.retinanet import model

    return model.build(options)


def _compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: RetinaNetOptions) -> None:
    from tfperf.benchmarks.retinanet import model as retinanet

    retinanet.compile_model(model, optimizer, options)


def _open_data(data: spec.Data, options: RetinaNetOptions, data_dir: pathlib.Path | None) -> OpenData:
    from tfperf.benchmarks.retinanet import data as images

    _find_weights(options, data_dir)
    return images.open_data(data, options, data_dir)


def _scorer(options: RetinaNetOptions) -> Scorer:
    from tfperf.benchmarks.detection.scorer import DetectionScorer

    return DetectionScorer()


def _initial_weights(
    options: RetinaNetOptions, data_dir: pathlib.Path | None
) -> Mapping[str, np.ndarray | None] | None:
    from tfperf.benchmarks.retinanet import initial

    return initial.initial_weights(options, data_dir)


def _open_samples(data: spec.Data, options: RetinaNetOptions, data_dir: pathlib.Path | None) -> OpenSamples:
    from tfperf.benchmarks.retinanet import data as images

    return images.open_samples(data, options, data_dir)


def _inputs(options: RetinaNetOptions) -> tuple[Tensor, ...]:
    return (Tensor(name="image", shape=(options.image_size, options.image_size, 3)),)


def _outputs(options: RetinaNetOptions) -> tuple[Tensor, ...]:
    from tfperf.benchmarks.retinanet.model import RetinaNetOutput

    return (RetinaNetOutput.tensor(),)


_SERVED_MAP = 0.3755

# Target, counts and cadence: training_rules.adoc of mlcommons/training_policies and closed_retinanet.yaml of
# mlcommons/logging, ruleset 5.1.0, the last round with RetinaNet. The trained parameters are those of the reference.
BENCHMARK = Benchmark(
    name="retinanet",
    mlperf=True,
    training=TrainingTask(
        quality=QualityTarget(metric="map", value=0.34),
        ruleset="5.1.0",
        submission_benchmark="retinanet",
        train_examples=1_170_301,
        eval_examples=24_781,
        evaluation_interval=rules.EVALUATE_EVERY_EPOCHS,
        parameters=36_849_004,
        options=RetinaNetOptions(),
        left_to_rules=("backbone",),
        sources=SOURCES,
        build_model=_build_model,
        compile_model=_compile_model,
        open_data=_open_data,
        rules=rules.training,
        scorer=_scorer,
        initial_weights=_initial_weights,
        find_weights=_find_weights,
    ),
    # Scenarios, target (99 % of the reference), bound and counts: inference_rules.adoc of
    # mlcommons/inference_policies, and MODEL_CONFIG of tools/submission/submission_checker of mlcommons/inference at
    # v5.1, the last round with RetinaNet.
    inference=InferenceTask(
        quality=QualityTarget(metric="map", value=round(_SERVED_MAP * 0.99, 7)),
        reference_quality=_SERVED_MAP,
        loadgen_model="retinanet",
        submission_benchmark="retinanet",
        last_round="v5.1",
        scenarios=("singlestream", "multistream", "server", "offline"),
        closed_scenarios=("singlestream", "multistream", "offline"),
        eval_samples=24_781,
        performance_samples=64,
        server_latency_bound_ns=100_000_000,
        audits=("TEST01",),
        audited_responses=256,
        parameters=36_849_004,
        options=RetinaNetOptions(),
        sources=SOURCES,
        build_model=_build_model,
        inputs=_inputs,
        outputs=_outputs,
        open_samples=_open_samples,
        responder=answers.responder,
        scoring=answers.SCORING,
        rules=rules.inference,
        checkpoints=checkpoint.SERVED,
        picture=pictures.picture,
    ),
)
BENCHMARKS = (BENCHMARK,)
