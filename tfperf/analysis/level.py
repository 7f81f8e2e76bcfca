"""Follows the level of a series of runs, one by one as they come: what the next run should be, and what is suspect.

The limits for the next run are those of a normal prediction interval on logarithms (Hahn & Meeker, "Statistical
Intervals", 1991, chapter 4). A run beyond the limits by more than the threshold is suspect. Three in succession are
confirmed if a comparison with the level says so, too.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfperf.analysis import comparison, student
from tfperf.analysis.comparison import ComparedMetric, ComparedSides
from tfperf.analysis.ratio import CONFIDENCE, RunValue

Alert = Literal["none", "suspected", "confirmed"]
Standing = Literal["first", "inside", "worse", "better"]

LEAST_RUNS = 3  # before a run is held against the level
MOST_RUNS = 20  # of the level; older ones are forgotten
CONFIRMED_AFTER = 3
BETTER_AFTER = 3  # runs in succession that are better make a new level
ACCEPTED_AFTER = 10  # runs in succession that are worse do so, too: whoever kept them has accepted them


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionBand:
    """The limits between which the next run lies with 95 % probability if nothing has changed.

    Attributes:
        low: the lower limit.
        middle: the median of the level's runs.
        high: the upper limit.
        runs: how many runs it is from.
    """

    low: float
    middle: float
    high: float
    runs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """What a series says about its newest and its next run.

    Attributes:
        standings: how each run compared with the level when it came.
        level: the numbers of the runs that make up the present level.
        tail: the numbers of the newest runs, in succession, on one side of it.
        band: what the next run should be; None with fewer than three runs.
        alert: whether the newest runs are worse than the level.
        change: the median of the worse runs divided by the level's; None without an alert.
    """

    standings: tuple[Standing, ...]
    level: tuple[int, ...]
    tail: tuple[int, ...]
    band: PredictionBand | None
    alert: Alert
    change: float | None


def band(values: Sequence[float], *, confidence: float = CONFIDENCE) -> PredictionBand | None:
    """The prediction interval for one more run like these; None with fewer than three.

    Args:
        values: the figure of each run, above 0.
        confidence: with which the next run lies within it.
    """
    if len(values) < LEAST_RUNS:
        return None
    logs = np.log(np.asarray(values, float))
    spread = float(logs.std(ddof=1)) * math.sqrt(1 + 1 / len(logs))
    reach = _quantile((1 + confidence) / 2, len(logs) - 1) * spread
    centre = float(logs.mean())
    return PredictionBand(
        low=math.exp(centre - reach),
        middle=float(np.median(values)),
        high=math.exp(centre + reach),
        runs=len(values),
    )


def follow(values: Sequence[float], *, metric: ComparedMetric) -> Level:
    """Takes the runs one by one.

    Args:
        values: the figure of each run, above 0, in the order in which they ran.
        metric: which side is worse, and how much of a change matters.
    """
    standings: list[Standing] = []
    level: list[int] = []
    tail: list[int] = []
    expected: PredictionBand | None = None
    for number, value in enumerate(values):
        standing = _standing(value, expected, metric=metric)
        standings.append(standing)
        if standing in ("first", "inside"):
            noise = tail if len(tail) == 1 else []  # without it the limits would be too narrow
            level, tail = [*level, *noise, number][-MOST_RUNS:], []
        else:
            tail = [*tail, number] if tail and standings[tail[-1]] == standing else [number]
            if len(tail) < (ACCEPTED_AFTER if standing == "worse" else BETTER_AFTER):
                continue
            level, tail = tail, []
        expected = band([values[each] for each in level])
    alert = _alert(values, level, tail, standings, metric=metric)
    newest = float(np.median([values[each] for each in tail])) if alert != "none" and expected else None
    return Level(
        standings=tuple(standings),
        level=tuple(level),
        tail=tuple(tail),
        band=expected,
        alert=alert,
        change=None if newest is None or expected is None else newest / expected.middle,
    )


@functools.cache
def _quantile(level: float, freedom: int) -> float:
    return student.quantile(level, freedom=freedom)


def _standing(value: float, expected: PredictionBand | None, *, metric: ComparedMetric) -> Standing:
    if expected is None:
        return "first"
    ratio = value / expected.middle
    above = value > expected.high and ratio > 1 + metric.threshold
    below = value < expected.low and ratio < 1 - metric.threshold
    if not above and not below:
        return "inside"
    return "worse" if above != metric.higher_is_better else "better"


def _alert(
    values: Sequence[float],
    level: Sequence[int],
    tail: Sequence[int],
    standings: Sequence[Standing],
    *,
    metric: ComparedMetric,
) -> Alert:
    if not tail or standings[tail[-1]] != "worse":
        return "none"
    if len(tail) < CONFIRMED_AFTER:
        return "suspected"
    sides = [tuple(RunValue(value=values[each]) for each in side) for side in (level, tail)]
    judged = comparison.compare(
        [ComparedSides(metric=dataclasses.replace(metric, gated=True), baseline=sides[0], candidate=sides[1])]
    )
    return "confirmed" if judged.verdict == "REGRESSION" else "suspected"
