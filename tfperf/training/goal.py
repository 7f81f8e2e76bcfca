"""The goal of a training run, as Keras users write it: a metric to monitor, a direction and a target."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any, Literal

from tfperf.benchmarks import share_metrics
from tfperf.errors import ArgumentError

Mode = Literal["auto", "max", "min"]

_MODES = ("auto", "max", "min")
_RISING = re.compile(rf"(^|_)({share_metrics.WORDS}|r2_score|map|mrr|ndcg|bleu|psnr|ssim)(_\d+)?$")
_FALLING = re.compile(r"(^|_)(loss|error|mse|mae|mape|msle|perplexity|divergence|poisson|crossentropy|hinge)(_\d+)?$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """What ends a training run.

    Attributes:
        metric: the name of the quality metric, without Keras's `val_`; None if nothing is monitored.
        target: the value to reach; None if the run only times.
        mode: `max` when the target is reached from below, `min` from above, `auto` until that is known.
    """

    metric: str | None = None
    target: float | None = None
    mode: Mode = "auto"

    def reached_by(self, value: float) -> bool:
        """Whether the value is at the target or beyond it; never without a target, and never for NaN, infinity or a
        share above 1, such as a percentage."""
        if self.target is None or not math.isfinite(value):
            return False
        if self.metric is not None and share_metrics.is_share(self.metric) and value > 1 + share_metrics.ROUNDING:
            return False
        return value <= self.target if self.mode == "min" else value >= self.target


def checked(metric: str | None, *, mode: str, target: float | None, called: str = "monitor") -> Goal:
    """The goal, checked before anything runs.

    Args:
        metric: its name, without `val_`.
        mode: `auto` takes the direction from the metric's name where possible.
        target: the value to reach.
        called: the metric as the user wrote it.

    Raises:
        ArgumentError: a value can't be used, or they contradict each other.
    """
    if mode not in _MODES:
        raise ArgumentError(f"mode must be auto, max or min, got {mode!r}.")
    if target is None:
        return Goal(metric=metric, mode=known_mode(metric, mode=mode))
    if isinstance(target, bool) or not isinstance(target, (int, float)) or not math.isfinite(target):
        raise ArgumentError(f"target must be a finite number, got {target!r}.")
    if metric is None:
        raise ArgumentError(
            f"target={target:g} needs a metric to monitor. Write monitor='val_accuracy' or another reported metric."
        )
    if share_metrics.is_share(metric) and not 0 < target <= 1:
        advice = f" For {target:g} % write target={target / 100:g}." if 1 < target <= 100 else ""
        raise ArgumentError(f"target must be more than 0 and at most 1 for {called!r}, got {target:g}.{advice}")
    return Goal(metric=metric, target=float(target), mode=known_mode(metric, mode=mode))


def known_mode(metric: str | None, *, mode: str) -> Mode:
    """The direction by the metric's name and the user's `mode`; `auto` when neither gives one.

    Raises:
        ArgumentError: they contradict each other.
    """
    by_name: Mode = "auto"
    if metric is not None:
        by_name = "max" if _RISING.search(metric) else "min" if _FALLING.search(metric) else "auto"
    return _agreed(metric, mode=mode, found=by_name)


def resolved(goal: Goal, metrics: Iterable[Any]) -> Goal:
    """The goal with its direction taken from the model's metric if the metric's name does not give it.

    Args:
        goal: the goal, whose mode may be `auto`.
        metrics: the model's Keras metrics, once they are built. Metrics inside other metrics are found, too.

    Raises:
        ArgumentError: the direction is unknown.
    """
    if goal.metric is None or goal.target is None:
        return goal
    words = {"up": "max", "down": "min"}
    found = {
        words[metric._direction]  # Keras has no public name for it
        for metric in _flat(metrics)
        if _names(metric, goal.metric) and getattr(metric, "_direction", None) in words
    }
    mode = _agreed(goal.metric, mode=goal.mode, found=found.pop() if len(found) == 1 else "auto")
    if mode == "auto":
        raise ArgumentError(
            f"Whether {goal.metric!r} should rise or fall is unknown from its name and class. "
            "Write mode='max' or mode='min'."
        )
    return dataclasses.replace(goal, mode=mode)


def _agreed(metric: str | None, *, mode: str, found: str) -> Mode:
    if "auto" not in (mode, found) and mode != found:
        better = "rises" if found == "max" else "falls"
        raise ArgumentError(
            f"mode={mode!r}: {metric!r} {better} as the model gets better, so the target would lie in the wrong "
            f"direction. Write mode={found!r} or leave mode out."
        )
    return "max" if "max" in (mode, found) else "min" if "min" in (mode, found) else "auto"


def _flat(metrics: Iterable[Any]) -> Iterable[Any]:
    for metric in metrics:
        inner = getattr(metric, "metrics", None)
        yield from _flat(inner) if isinstance(inner, list) and inner else (metric,)


def _names(metric: Any, name: str) -> bool:
    """Whether the metric is reported as `name`. In a model with several outputs that begins with the output's name."""
    own = str(getattr(metric, "name", ""))
    return bool(own) and (name == own or name.endswith(f"_{own}"))
