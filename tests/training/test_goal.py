"""What training is to reach is understood as a Keras user means it, or refused."""

import keras
import pytest

from tfperf.errors import ArgumentError
from tfperf.training import goal


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        *((name, "max") for name in ("accuracy", "acc", "auc_1", "head_a_accuracy", "mean_io_u", "f1_score", "map")),
        *((name, "min") for name in ("loss", "head_a_loss", "mae", "mean_squared_error", "categorical_crossentropy")),
        *((name, "auto") for name in ("score", "lossy", "macc")),
    ],
)
def test_the_name_tells_the_direction(metric: str, mode: str) -> None:
    assert goal.known_mode(metric, mode="auto") == mode


@pytest.mark.parametrize(
    ("mode", "value", "reached"),
    [
        ("max", 0.5, True),
        ("max", 0.49, False),
        ("min", 0.5, True),
        ("min", 0.51, False),
        ("max", float("inf"), False),
        ("min", float("-inf"), False),
        ("min", float("nan"), False),
    ],
)
def test_a_target_is_reached_from_its_side(mode: goal.Mode, value: float, reached: bool) -> None:
    assert goal.Goal(metric="score", target=0.5, mode=mode).reached_by(value) is reached


def test_nothing_reaches_a_target_that_is_none() -> None:
    assert not goal.Goal(metric="accuracy", mode="max").reached_by(1.0)


def test_the_metric_tells_the_direction_where_its_name_does_not() -> None:
    found = goal.checked("head_area", mode="auto", target=0.5)
    assert found.mode == "auto"
    assert goal.resolved(found, [keras.metrics.AUC(name="area")]).mode == "max"
    with pytest.raises(ArgumentError, match=r"mode='min': 'head_area' rises"):
        goal.resolved(goal.checked("head_area", mode="min", target=0.5), [keras.metrics.AUC(name="area")])
    with pytest.raises(ArgumentError, match=r"Write mode='max' or mode='min'\."):
        goal.resolved(found, [keras.metrics.Mean(name="other")])
