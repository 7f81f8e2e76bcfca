"""What a sweep optimises: the unit, the direction, and the best trial so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tfperf import spec
from tfperf.tuning.trial import Trial

Direction = Literal["max", "min"]

DIRECTIONS: Mapping[spec.Objective, Direction] = {
    "quality": "max",
    "time_to_target": "min",
    "examples_per_s": "max",
    "throughput": "max",
    "latency": "min",
}
_UNITS: Mapping[str, str] = {"time_to_target": "s", "throughput": "samples/s", "latency": "ms"}


def title(objective: str) -> str:
    """The objective, with its unit unless the name says it."""
    return f"{objective} ({_UNITS[objective]})" if objective in _UNITS else objective


def best_of(trials: Sequence[Trial], *, objective: spec.Objective) -> Trial | None:
    """The completed trial with the best objective; the first one if several are equal."""
    known = [trial for trial in trials if trial.status == "completed" and trial.objective is not None]
    sign = -1 if DIRECTIONS[objective] == "min" else 1
    return max(known, key=lambda trial: sign * (trial.objective or 0.0), default=None)
