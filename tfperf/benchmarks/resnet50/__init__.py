"""ResNet-50 v1.5 image classification: the MLPerf Training benchmark `resnet` and a small one of the same code."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, OpenData, QualityTarget, TrainingTask
from tfperf.benchmarks.resnet50.options import Options

if TYPE_CHECKING:
    import keras


def _build_model(options: Options) -> keras.Model:
    from tfperf.benchmarks.resnet50 import model

    return model.build(options)


def _compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: Options) -> None:
    from tfperf.benchmarks.resnet50 import model as resnet

    resnet.compile_model(model, optimizer, options)


def _open_data(data: spec.Data, options: Options, data_dir: pathlib.Path | None) -> OpenData:
    from tfperf.benchmarks.resnet50 import data as resnet_data

    return resnet_data.open_data(data, options, data_dir)


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
        evaluate_every_epochs=4,
        options=Options(),
        tunable=(("label_smoothing", (0.0, 0.1)),),
        build_model=_build_model,
        compile_model=_compile_model,
        open_data=_open_data,
    ),
)

MINI = Benchmark(
    name="resnet50_mini",
    training=dataclasses.replace(
        BENCHMARK.training,
        quality=QualityTarget(metric="accuracy", value=0.80),
        train_examples=None,
        eval_examples=None,
        evaluate_every_epochs=1,
        options=Options(image_size=64, blocks=(1, 1, 1, 1), width=16, classes=8, least_crop_area=0.5),
        tunable=(),
    ),
)
