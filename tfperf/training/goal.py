"""What training is to reach, as Keras users write it: a metric to monitor, a direction and a target."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any, Literal

from tfperf.errors import ArgumentError

Mode = Literal["auto", "max", "min"]

_MODES = ("auto", "max", "min")
_SHARES = "accuracy|acc|auc|precision|recall|sensitivity|specificity|iou|io_u|f1|f1_score|fbeta_score"
_RISING = re.compile(rf"(^|_)({_SHARES}|r2_score|map|mrr|ndcg|bleu|psnr|ssim)(_\d+)?$")
_FALLING = re.compile(r"(^|_)(loss|error|mse|mae|mape|msle|perplexity|divergence|poisson|crossentropy|hinge)(_\d+)?$")
_SHARE = re.compile(rf"(^|_)({_SHARES})(_\d+)?$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """The end of a training run.

    Attributes:
        metric: the name of the quality metric, without Keras's `val_`; None when nothing is monitored.
        target: the value to reach; None when the run only times.
        mode: `max` when the target is reached from below, `min` from above, `auto` until that is known.
    """

    metric: str | None = None
    target: float | None = None
    mode: Mode = "auto"

    def reached_by(self, value: float) -> bool:
        """Whether the value is at the target or beyond it; never where there is none, or by what is not finite."""
        if self.target is None or not math.isfinite(value):
            return False
        return value <= self.target if self.mode == "min" else value >= self.target


def checked(metric: str | None, *, mode: str, target: float | None, called: str = "monitor") -> Goal:
    """The goal, as far as it can be checked before anything runs.

    Args:
        metric: its name, without `val_`.
        mode: `auto` takes the direction from the name where that tells it.
        target: the value to reach.
        called: how the user wrote the metric.

    Raises:
        ArgumentError: the values can't be used, or contradict each other.
    """
    if mode not in _MODES:
        raise ArgumentError(f"mode must be auto, max or min, got {mode!r}.")
    if target is None:
        return Goal(metric=metric, mode=known_mode(metric, mode=mode))
    if isinstance(target, bool) or not isinstance(target, (int, float)) or not math.isfinite(target):
        raise ArgumentError(f"target must be a finite number, got {target!r}.")
    if metric is None:
        raise ArgumentError(
            f"target={target:g} needs a metric that reaches it. Write monitor='val_accuracy' or what the model reports."
        )
    if _SHARE.search(metric) and not 0 < target <= 1:
        advice = f" For {target:g} % write target={target / 100:g}." if 1 < target <= 100 else ""
        raise ArgumentError(f"target must be more than 0 and at most 1 for {called!r}, got {target:g}.{advice}")
    return Goal(metric=metric, target=float(target), mode=known_mode(metric, mode=mode))


def known_mode(metric: str | None, *, mode: str) -> Mode:
    """The direction that the name and the user's word give; `auto` when neither does.

    Raises:
        ArgumentError: they contradict each other.
    """
    by_name: Mode = "auto"
    if metric is not None:
        by_name = "max" if _RISING.search(metric) else "min" if _FALLING.search(metric) else "auto"
    return _agreed(metric, asked=mode, found=by_name)


def resolved(goal: Goal, metrics: Iterable[Any]) -> Goal:
    """The goal with its direction taken from the model's metric, where its name does not tell it.

    Args:
        goal: what is asked for.
        metrics: the model's Keras metrics, once they are built; those that hold others are looked into.

    Raises:
        ArgumentError: the direction can't be told.
    """
    if goal.metric is None or goal.target is None:
        return goal
    words = {"up": "max", "down": "min"}
    found = {
        words[metric._direction]  # Keras has no public name for it
        for metric in _flat(metrics)
        if _names(metric, goal.metric) and getattr(metric, "_direction", None) in words
    }
    mode = _agreed(goal.metric, asked=goal.mode, found=found.pop() if len(found) == 1 else "auto")
    if mode == "auto":
        raise ArgumentError(
            f"Whether {goal.metric!r} should rise or fall can't be told from its name or class. "
            "Write mode='max' or mode='min'."
        )
    return dataclasses.replace(goal, mode=mode)


def _agreed(metric: str | None, *, asked: str, found: str) -> Mode:
    if "auto" not in (asked, found) and asked != found:
        better = "rises" if found == "max" else "falls"
        raise ArgumentError(
            f"mode={asked!r}: {metric!r} {better} as the model gets better, so its target would be of the wrong "
            f"direction. Write mode={found!r} or leave mode out."
        )
    mode: Mode = "max" if "max" in (asked, found) else "min" if "min" in (asked, found) else "auto"
    return mode


def _flat(metrics: Iterable[Any]) -> Iterable[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        yield from _flat(inner) if isinstance(inner, list) and inner else (metric,)


def _names(metric: Any, name: str) -> bool:
    """Whether the metric is reported as `name`, which in a model of several outputs begins with the output's."""
    own = str(getattr(metric, "name", ""))
    return bool(own) and (name == own or name.endswith(f"_{own}"))
