"""Arguments, models and backends that can't be measured are refused before anything is written."""

import pathlib
from typing import Any

import keras
import pytest

import tfperf
from tests.callback.measured_fit import reaching
from tfperf.errors import ArgumentError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"target": 0.9},
            r"target=0\.9 needs a metric to monitor\. Write monitor='val_accuracy' or another reported metric\.",
        ),
        (
            {"monitor": "accuracy", "target": 0.9},
            r"monitor must be measured on held-out data, so its name begins with 'val_'; got 'accuracy'\. "
            r"Write monitor='val_accuracy' and give fit validation_data\.",
        ),
        (
            {"monitor": "val_accuracy", "target": 97},
            r"target must be more than 0 and at most 1 for 'val_accuracy', got 97\. For 97 % write target=0\.97\.",
        ),
        (
            {"monitor": "val_accuracy", "target": 0.9, "mode": "min"},
            r"mode='min': 'accuracy' rises as the model gets better, so the target would lie in the wrong direction\.",
        ),
        (
            {"monitor": "val_loss", "target": 0.9, "mode": "max"},
            r"mode='max': 'loss' falls as the model gets better, .*\. Write mode='min' or leave mode out\.",
        ),
        ({"monitor": "val_loss", "mode": "up"}, r"mode must be auto, max or min, got 'up'\."),
        ({"monitor": "val_loss", "target": "low"}, r"target must be a finite number, got 'low'\."),
        ({"monitor": "val_loss", "target": float("nan")}, r"target must be a finite number, got nan\."),
        ({"benchmark": "resnet51"}, r"unknown name 'resnet51'\. Did you mean resnet50\? Accepted: resnet50, "),
        (
            {"benchmark": "resnet50", "target": 0.1},
            r"target=0\.1 is not that of resnet50, 0\.759\. Leave target out, or leave benchmark out\.",
        ),
        (
            {"benchmark": "resnet50", "monitor": "val_top5"},
            r"monitor='val_top5' is not that of resnet50, 'val_accuracy'\. Leave monitor out, or leave benchmark out\.",
        ),
        ({"benchmark": 50}, r"benchmark must be a name or a tfperf\.Benchmark, got 50\."),
        ({"global_batch_size": 0}, r"global_batch_size must be a whole number above 0, got 0\."),
        ({"if_taken": "overwrite"}, r"if_taken must be 'number' or 'refuse', got 'overwrite'\."),
    ],
)
def test_arguments_that_can_not_be_used_are_refused_at_once(
    tmp_path: pathlib.Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tfperf.MLPerfCallback(tmp_path / "run", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_keras_is_refused(tmp_path: pathlib.Path) -> None:
    class Sequential:
        """Looks like a model of Keras 2, which may not be installed."""

    Sequential.__module__, Sequential.__qualname__ = "tf_keras.src.engine.sequential", "Sequential"
    callback = reaching(tmp_path / "run")
    message = (
        r"got tf_keras\.src\.engine\.sequential\.Sequential, a model of Keras 2\. Build it with `import keras`; for "
    )
    for give in (callback.set_model, callback.start):
        with pytest.raises(ArgumentError, match=message):
            give(Sequential())
    with pytest.raises(ArgumentError, match=r"models of Keras 3 \(keras\.Model\), got builtins\.int\."):
        callback.set_model(3)


def test_another_backend_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    message = r"measures Keras on TensorFlow; this process runs Keras on jax\. Set KERAS_BACKEND=tensorflow before"
    with pytest.raises(ArgumentError, match=message):
        tfperf.MLPerfCallback(tmp_path / "run")
