"""Benchmarks of TensorFlow systems by the rules of MLPerf.

The public names are loaded when they are first used: `import tfperf` imports neither TensorFlow nor Keras.

Example:
    asked = tfperf.load_config("resnet50-mini", overrides=["max_epochs=6"])
    place = tfperf.Place(output_dir=pathlib.Path("runs"), name="mine")
    result, run_dir = tfperf.train(asked, tfperf.get_benchmark(asked.benchmark), place=place)

    asked = tfperf.load_config("resnet50-mini-offline", overrides=["min_duration_s=10"])
    trained = tfperf.Weights(path=run_dir)
    result, run_dir = tfperf.infer(asked, tfperf.get_benchmark(asked.benchmark), trained=trained, place=place)
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfperf.benchmarks import get as get_benchmark
    from tfperf.benchmarks.benchmark import (
        Benchmark,
        Feed,
        InferenceTask,
        OpenData,
        OpenSamples,
        QualityTarget,
        TrainingTask,
    )
    from tfperf.callback.custom_loop import measure
    from tfperf.callback.fit import MLPerfCallback
    from tfperf.directory import Place
    from tfperf.inference.weights import Weights
    from tfperf.run.train import train
    from tfperf.serving.measurement import infer
    from tfperf.spec import Division, InferSpec, TrainSpec

_HOMES = {
    "Benchmark": "tfperf.benchmarks.benchmark",
    "Division": "tfperf.spec",
    "Feed": "tfperf.benchmarks.benchmark",
    "InferSpec": "tfperf.spec",
    "InferenceTask": "tfperf.benchmarks.benchmark",
    "MLPerfCallback": "tfperf.callback.fit",
    "OpenData": "tfperf.benchmarks.benchmark",
    "OpenSamples": "tfperf.benchmarks.benchmark",
    "Place": "tfperf.directory",
    "QualityTarget": "tfperf.benchmarks.benchmark",
    "TrainSpec": "tfperf.spec",
    "TrainingTask": "tfperf.benchmarks.benchmark",
    "Weights": "tfperf.inference.weights",
    "infer": "tfperf.serving.measurement",
    "measure": "tfperf.callback.custom_loop",
    "train": "tfperf.run.train",
}

__all__ = [
    "Benchmark",
    "Division",
    "Feed",
    "InferSpec",
    "InferenceTask",
    "MLPerfCallback",
    "OpenData",
    "OpenSamples",
    "Place",
    "QualityTarget",
    "TrainSpec",
    "TrainingTask",
    "Weights",
    "get_benchmark",
    "infer",
    "load_config",
    "measure",
    "train",
]


def load_config(config: str, *, overrides: Sequence[str] = ()) -> TrainSpec | InferSpec:
    """Reads a config, as `tfperf train` does, or `tfperf infer` for one that names a scenario.

    Args:
        config: the name of a packaged config or the path of a yaml file.
        overrides: `key.path=value` each.

    Raises:
        ConfigError: with every violation.
    """
    from tfperf import benchmarks
    from tfperf import config as configs

    load = configs.load_inference if configs.verb(config) == "infer" else configs.load
    return load(config, options_of=lambda name: benchmarks.get(name).training.options, overrides=overrides)


def __getattr__(name: str) -> Any:
    if name == "get_benchmark":
        return importlib.import_module("tfperf.benchmarks").get
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfperf' has no attribute {name!r}. Public names: {', '.join(__all__)}.")
