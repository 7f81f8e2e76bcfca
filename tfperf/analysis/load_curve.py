"""Latency over throughput: the knee with an interval, and the most that keeps the latency within a bound.

The knee is the throughput with the highest power, throughput / mean latency (L. Kleinrock, "Power and deterministic
rules of thumb for probabilistic problems in computer communications", ICC 1979): to its left, more throughput costs
less than as much latency, and to its right more. A queue with one server and exponential times has it at half of its
capacity, one with constant times at 2 - sqrt(2) of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

_LEAST_POINTS = 3
_LEAST_RATES = 4  # one more than the parameters of the fit
_CAPACITIES = np.geomspace(1.002, 30.0, 400)  # as multiples of the highest throughput
_POWERS = np.linspace(0.01, 1.0, 1000)  # throughputs at which the power is looked at, as shares of the highest
_RESAMPLES = 200
_CONFIDENCE = (2.5, 97.5)
_FITS = 0.1  # the most that a point may be off the fitted curve beside its own error, as a share of its latency
_LEAST_ERROR = 0.005  # of a latency: shorter runs than these never tell it better
_BATCHES = 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadPoint:
    """A load that was measured by itself.

    Attributes:
        throughput: answers per second.
        latency: the mean latency.
        error: its standard error.
        by: whether requests came by a `rate`, or in `streams` that wait for their answers.
    """

    throughput: float
    latency: float
    error: float
    by: Literal["rate", "streams"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knee:
    """Where latency begins to grow faster than throughput.

    Attributes:
        throughput: the knee.
        low: the lower end of its 95 % confidence interval.
        high: the upper end.
        by: the kind of loads that it comes from.
    """

    throughput: float
    low: float
    high: float
    by: Literal["rate", "streams"]


def knee(points: Sequence[LoadPoint]) -> Knee | None:
    """The knee of the loads with a rate, else of those with streams.

    A curve is fitted to the loads with a rate: latency = a + b * x / (c - x), which is exact for any queue with one
    server and independent arrivals (Pollaczek and Khinchine). Where four rates or more fit it, the knee is that of the
    curve. Everywhere else it is the measured load with the highest power. The interval comes from latencies drawn anew
    within their errors.

    Returns:
        None with fewer than three points, or if the highest throughput still has the highest power.
    """
    for by in ("rate", "streams"):
        known = sorted(
            (each for each in points if each.by == by and each.throughput > 0 and each.latency > 0),
            key=lambda each: each.throughput,
        )
        if len(known) < _LEAST_POINTS:
            continue
        x, y, errors = (
            np.array([getattr(each, name) for each in known]) for name in ("throughput", "latency", "error")
        )
        errors = np.maximum(errors, _LEAST_ERROR * y)
        fitted = by == "rate" and len(known) >= _LEAST_RATES and _fits(x, y, errors)
        return _with_interval(x, y, errors, fitted=fitted, by=by)
    return None


def most_within(points: Sequence[tuple[float, float]], *, bound: float) -> float | None:
    """The highest throughput that was measured with a latency within the bound; None if there is none."""
    return max((x for x, y in points if y <= bound), default=None)


def standard_error(latencies: np.ndarray) -> float | None:
    """The standard error of the mean of latencies in the order of time; None if there are too few for batches.

    From the means of 30 consecutive batches (Schmeiser, Operations Research 30, 1982), or of 10 if that gives more, so
    that latencies which depend on each other count as fewer.
    """
    found = []
    for batches in (_BATCHES, _BATCHES // 3):
        size = len(latencies) // batches
        if size:
            means = latencies[: size * batches].reshape(batches, size).mean(axis=1)
            found.append(float(means.std(ddof=1)) / batches**0.5)
    return max(found, default=None)


def _with_interval(
    x: np.ndarray, y: np.ndarray, errors: np.ndarray, *, fitted: bool, by: Literal["rate", "streams"]
) -> Knee | None:
    best = _highest_power(x, y, errors, fitted=fitted)
    if best is None:
        return None
    random = np.random.default_rng(0)
    drawn = [
        _highest_power(x, np.maximum(y + errors * random.standard_normal(len(y)), y / 10), errors, fitted=fitted)
        for _ in range(_RESAMPLES)
    ]
    low, high = np.percentile([x[-1] if each is None else each for each in drawn], _CONFIDENCE)
    return Knee(throughput=best, low=min(float(low), best), high=max(float(high), best), by=by)


def _highest_power(x: np.ndarray, y: np.ndarray, errors: np.ndarray, *, fitted: bool) -> float | None:
    """The throughput with the highest power; None if that may lie beyond the highest throughput."""
    if fitted:
        least, slope, capacity, _ = _fit(x, y, errors)
        at = x[-1] * _POWERS
        best = int(np.argmax(at / (least + slope * at / (capacity - at))))
        return None if best == len(at) - 1 else float(at[best])
    best = int(np.argmax(x / y))
    return None if best == len(x) - 1 else float(x[best])


def _fits(x: np.ndarray, y: np.ndarray, errors: np.ndarray) -> bool:
    """Whether every point lies on the fitted curve, but for its error and a tenth of its latency."""
    _, _, _, off = _fit(x, y, errors)
    return bool(np.all(off <= 3 * errors + _FITS * y))


def _fit(x: np.ndarray, y: np.ndarray, errors: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """a, b and c of the curve with the least squares, and how far each point is from it.

    For a given capacity c the other two follow from linear equations, so only c is searched for.
    """
    capacities = x[-1] * _CAPACITIES
    load = x / (capacities[:, None] - x)
    weights = 1 / errors**2
    total = weights.sum()
    mean_load, mean_y = (load * weights).sum(axis=1) / total, float((y * weights).sum() / total)
    spread = ((load - mean_load[:, None]) ** 2 * weights).sum(axis=1)
    slope = np.maximum(0.0, ((load - mean_load[:, None]) * (y - mean_y) * weights).sum(axis=1) / spread)
    least = mean_y - slope * mean_load
    off = np.abs(y - least[:, None] - slope[:, None] * load)
    squares = np.where(least > 0, (off**2 * weights).sum(axis=1), np.inf)
    best = int(np.argmin(squares))
    return float(least[best]), float(slope[best]), float(capacities[best]), np.asarray(off[best])
