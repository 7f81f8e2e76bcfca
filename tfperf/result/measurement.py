"""What the results of all kinds of runs consist of."""

from __future__ import annotations

import dataclasses
from typing import Literal

SCHEMA = 1
# The reason why a run without a target is not valid, although nothing failed.
TIMED_ONLY = "no target was set: this run is timed only"
# How the reason begins if training ran to its end without reaching the target.
MISSED = "the target was missed"
# The reason why a trial that was not trained to a target is not valid, although nothing failed.
UNTARGETED_TRIAL = "a trial of a sweep, not trained to the target"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured number, with its unit."""

    name: str
    value: float
    unit: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """The quality of a model.

    Attributes:
        metric: the name of the metric.
        value: its value at the last evaluation; None without an evaluation.
        target: the target for `value`; None if there is none.
        reached: whether `value` reached the target. False without a target.
        mode: `max` if higher is better, `min` if lower is better.
    """

    metric: str
    value: float | None
    target: float | None
    reached: bool
    mode: Literal["max", "min"] = "max"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Percentile:
    """A latency percentile of one run, with a 95 % confidence interval that allows for autocorrelation."""

    percentile: float
    value_ns: float
    low_ns: float | None
    high_ns: float | None
