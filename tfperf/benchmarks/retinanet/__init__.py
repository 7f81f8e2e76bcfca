"""RetinaNet-ResNeXt50-FPN object detection: MLPerf Training's `retinanet`, until round 4.1 called `ssd`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, OpenData, QualityTarget, Scorer, TrainingTask
from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.detection.data.sources import SOURCES
from tfperf.benchmarks.retinanet import rules
from tfperf.benchmarks.retinanet.options import RetinaNetOptions

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
)
BENCHMARKS = (BENCHMARK,)
