"""What a sweep is for: its unit, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tfperf import spec

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
    """The objective with its unit, where its name does not say it."""
    return f"{objective} ({_UNITS[objective]})" if objective in _UNITS else objective
