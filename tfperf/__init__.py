"""Benchmarks TensorFlow systems by MLPerf's rules.

The public names are loaded on first use: `import tfperf` imports neither TensorFlow nor Keras.

Example:
    spec = tfperf.load_config("resnet50-mini", overrides=["max_epochs=6"])
    workspace = tfperf.Workspace(output_dir=pathlib.Path("runs"), name="mine")
    result, run_dir = tfperf.train(spec, tfperf.get_benchmark(spec.benchmark), workspace=workspace)

    spec = tfperf.load_config("resnet50-mini-offline", overrides=["min_duration_s=10"])
    trained = tfperf.Weights(path=run_dir)
    result, run_dir = tfperf.infer(spec, tfperf.get_benchmark(spec.benchmark), trained=trained, workspace=workspace)
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
        ForeignWeights,
        InferenceTask,
        OpenData,
        OpenSamples,
        QualityTarget,
        Ragged,
        Respond,
        Scorer,
        Scoring,
        ServedCheckpoints,
        TrainingTask,
    )
    from tfperf.benchmarks.tensor import Batch, Sample, Tensor
    from tfperf.callback.custom_loop import measure
    from tfperf.callback.fit import MLPerfCallback
    from tfperf.comparison.compare import compare
    from tfperf.errors import DamagedDataError, MissingDataError
    from tfperf.evaluation.evaluate import evaluate
    from tfperf.evaluation.outcome import EvaluatedModel
    from tfperf.inference.weights import Weights
    from tfperf.run.train import train
    from tfperf.serving.measurement import infer
    from tfperf.spec import Data, Division, EvaluateSpec, InferSpec, TrainSpec
    from tfperf.workspace import Workspace

_HOMES = {
    "Batch": "tfperf.benchmarks.tensor",
    "Benchmark": "tfperf.benchmarks.benchmark",
    "DamagedDataError": "tfperf.errors",
    "Data": "tfperf.spec",
    "Division": "tfperf.spec",
    "EvaluateSpec": "tfperf.spec",
    "EvaluatedModel": "tfperf.evaluation.outcome",
    "Feed": "tfperf.benchmarks.benchmark",
    "ForeignWeights": "tfperf.benchmarks.benchmark",
    "InferSpec": "tfperf.spec",
    "InferenceTask": "tfperf.benchmarks.benchmark",
    "MLPerfCallback": "tfperf.callback.fit",
    "MissingDataError": "tfperf.errors",
    "OpenData": "tfperf.benchmarks.benchmark",
    "OpenSamples": "tfperf.benchmarks.benchmark",
    "QualityTarget": "tfperf.benchmarks.benchmark",
    "Ragged": "tfperf.benchmarks.benchmark",
    "Respond": "tfperf.benchmarks.benchmark",
    "Sample": "tfperf.benchmarks.tensor",
    "Scorer": "tfperf.benchmarks.benchmark",
    "Scoring": "tfperf.benchmarks.benchmark",
    "ServedCheckpoints": "tfperf.benchmarks.benchmark",
    "Tensor": "tfperf.benchmarks.tensor",
    "TrainSpec": "tfperf.spec",
    "TrainingTask": "tfperf.benchmarks.benchmark",
    "Weights": "tfperf.inference.weights",
    "Workspace": "tfperf.workspace",
    "compare": "tfperf.comparison.compare",
    "evaluate": "tfperf.evaluation.evaluate",
    "infer": "tfperf.serving.measurement",
    "measure": "tfperf.callback.custom_loop",
    "train": "tfperf.run.train",
}

__all__ = [
    "Batch",
    "Benchmark",
    "DamagedDataError",
    "Data",
    "Division",
    "EvaluateSpec",
    "EvaluatedModel",
    "Feed",
    "ForeignWeights",
    "InferSpec",
    "InferenceTask",
    "MLPerfCallback",
    "MissingDataError",
    "OpenData",
    "OpenSamples",
    "QualityTarget",
    "Ragged",
    "Respond",
    "Sample",
    "Scorer",
    "Scoring",
    "ServedCheckpoints",
    "Tensor",
    "TrainSpec",
    "TrainingTask",
    "Weights",
    "Workspace",
    "compare",
    "evaluate",
    "get_benchmark",
    "infer",
    "load_config",
    "measure",
    "train",
]


def load_config(config: str, *, overrides: Sequence[str] = ()) -> TrainSpec | InferSpec | EvaluateSpec:
    """Reads a config as `tfperf train` does, with a scenario as `tfperf infer` and with phases as `tfperf evaluate`.

    Args:
        config: the name of a packaged config or the path of a yaml file.
        overrides: `key.path=value` each.

    Raises:
        ConfigError: every violation.
    """
    from tfperf import benchmarks
    from tfperf import config as configs

    return configs.load_any(config, task_of=benchmarks.task, overrides=overrides)


def __getattr__(name: str) -> Any:
    if name == "get_benchmark":
        return importlib.import_module("tfperf.benchmarks").get
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfperf' has no attribute {name!r}. Public names: {', '.join(__all__)}.")
