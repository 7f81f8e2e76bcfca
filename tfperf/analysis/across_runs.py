"""A figure over several runs of the same: its typical value, and how well the runs determine it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfperf.analysis import student

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, kw_only=True)
class Typical:
    """A typical value.

    Attributes:
        value: the geometric mean over the runs.
        low: the lower end of its 95 % interval, Student's on logarithms; None with a single run.
        high: the upper end.
        runs: how many runs it is from.
    """

    value: float
    low: float | None
    high: float | None
    runs: int


def typical(values: Sequence[float]) -> Typical:
    """The typical value of a figure.

    Args:
        values: that of each run, above 0; at least one.
    """
    logs = np.log(values)
    value = math.exp(float(logs.mean()))
    if len(logs) < 2:
        return Typical(value=value, low=None, high=None, runs=len(logs))
    error = float(logs.std(ddof=1)) / math.sqrt(len(logs))
    factor = math.exp(student.quantile((1 + CONFIDENCE) / 2, freedom=len(logs) - 1) * error)
    return Typical(value=value, low=value / factor, high=value * factor, runs=len(logs))
