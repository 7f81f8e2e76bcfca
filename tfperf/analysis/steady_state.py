"""Whether a run was in a steady state: medians of windows, a crop of the warm-up, and tests for drift and level shift.

A trend counts if Mann-Kendall's test finds it, with Hamed & Rao's correction for autocorrelation (Journal of Hydrology
204, 1998). A shift of the level counts if Pettitt's test finds it (Applied Statistics 28, 1979), or a test of the
difference of the levels, both corrected for autocorrelation of first order. All count only from a change of 3 %, since
a long run makes any small change significant. The warm-up is cropped by MSER (White, Simulation 69, 1997), at most
half of the run. LoadGen's own result is never cropped; this stands beside it.

In 100 simulated runs of each kind (60 windows of 50 requests with a heavy tail, AR(1) of 0.5 between windows with a
spread of 1 %), 99 % of steady runs and all runs with a warm-up were STEADY. A drift and a shift of 8 % were found in
all; 14 % of the drifts were called LEVEL_SHIFT. The limits below were chosen on the same runs.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np

from tfperf.result import Steadiness, SteadinessVerdict

WINDOW_S = 1.0
LEAST_EXECUTIONS = 30
LEAST_WINDOWS = 20
MOST_WINDOWS = 600
LEAST_CHANGE = 0.03
SIGNIFICANCE = 0.01
_LAG_SIGNIFICANCE = 0.05
_CROP_FURTHER = 2  # windows at once
_STEP_FITS_BETTER = 0.96  # a step bends to noise; it must leave this share of what a straight line leaves, or less
_ROUNDING = 1e-9
_EDGE = 10  # a step leaves at least a tenth of the windows on each side
_MOST_SPREAD = 0.15  # of windows around their level, beyond which no level describes a run


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """A run in windows of at least a second and at least 30 executions.

    Attributes:
        ended_s: when each window ended, in seconds since the first execution ended, ascending [windows].
        median: the median of its executions' times, in the unit that was given [windows].
        retraced: windows that were left out since the model was traced or compiled in them.
    """

    ended_s: np.ndarray
    median: np.ndarray
    retraced: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MachineSeries:
    """A clock or temperature of the machine over the same time.

    Attributes:
        name: such as `SM clock`.
        unit: such as `MHz`.
        at_s: when each value was read, in seconds since the first execution ended, ascending [n].
        values: [n].
    """

    name: str
    unit: str
    at_s: np.ndarray
    values: np.ndarray


def windows(ended_ns: np.ndarray, took: np.ndarray, *, retraced_ns: Sequence[int] = ()) -> Windows:
    """Cuts a run into windows of at least a second and at least 30 executions, and at most 600 windows.

    Args:
        ended_ns: when each execution ended, [n], in any order.
        took: its time in any unit, above 0 [n].
        retraced_ns: when the model was traced or compiled; the windows that hold these are left out.
    """
    if ended_ns.shape != took.shape or ended_ns.ndim != 1:
        raise ValueError(f"ended_ns and took must be flat and equally long, got {ended_ns.shape} and {took.shape}.")
    if not len(ended_ns):
        return Windows(ended_s=np.zeros(0), median=np.zeros(0))
    order = np.argsort(ended_ns, kind="stable")
    at_s, took = (ended_ns[order] - ended_ns[order[0]]) / 1e9, took[order]
    retraces_s = (np.asarray(retraced_ns, dtype=float) - float(ended_ns[order[0]])) / 1e9
    least_s = max(WINDOW_S, float(at_s[-1]) / MOST_WINDOWS)
    ends, medians, retraced, start, begins_s = [], [], 0, 0, -math.inf
    while True:
        stop = max(int(np.searchsorted(at_s, at_s[start] + least_s)), start + LEAST_EXECUTIONS)
        if stop >= len(at_s):  # what is left is no whole window
            break
        if np.any((retraces_s > begins_s) & (retraces_s <= at_s[stop - 1])):
            retraced += 1
        else:
            ends.append(at_s[stop - 1])
            medians.append(np.median(took[start:stop]))
        start, begins_s = stop, float(at_s[stop - 1])
    return Windows(ended_s=np.array(ends), median=np.array(medians), retraced=retraced)


def examine(run: Windows, *, machine: Sequence[MachineSeries] = ()) -> Steadiness:
    """The verdict on a run.

    Args:
        run: its windows.
        machine: clocks and temperatures of the same time, which may explain a change.
    """
    if len(run.median) < LEAST_WINDOWS:
        return _too_short(run)
    if not np.all(run.median > 0):
        raise ValueError(f"The times of executions must be above 0, got a window of {run.median.min()}.")
    logs = np.log(run.median)
    crop = warm_up(logs)
    verdict, change, shift = _judge(logs[crop:])
    while crop and change is not None and change < 0 and crop + _CROP_FURTHER <= len(logs) // 2:
        crop += _CROP_FURTHER  # the end of the warm-up, which MSER leaves if it is flat
        verdict, change, shift = _judge(logs[crop:])
    series, ended_s = logs[crop:], run.ended_s[crop:]
    at_s = None if shift is None else float(ended_s[shift - 1])
    sentence = _sentence(verdict, change, at_s)
    return Steadiness(
        verdict=verdict,
        change=change,
        at_s=at_s,
        cropped_s=float(run.ended_s[crop - 1]) if crop else 0.0,
        level=float(np.median(run.median[crop:])),
        windows=len(series),
        retraced=run.retraced,
        because=(sentence, *(_machine(each, at_s) for each in machine if at_s is not None and _moved(each, at_s))),
    )


def warm_up(series: np.ndarray) -> int:
    """How many values at the start to crop by MSER: at most half, and only if they are higher than the rest.

    A start that is lower is no warm-up. It is a run that became slower, and must be told as such.

    Args:
        series: logarithms of medians, [n].
    """
    count = len(series)
    errors = [float(series[crop:].var()) / (count - crop) for crop in range(count // 2 + 1)]
    crop = int(np.argmin(errors))
    if not crop or float(np.median(series[:crop]) - np.median(series[crop:])) < math.log1p(LEAST_CHANGE) / 2:
        return 0
    return crop


def mann_kendall(series: np.ndarray) -> tuple[float, float, float]:
    """Mann and Kendall's test for a trend, with Hamed and Rao's variance.

    Args:
        series: [n], n of 3 or more, in the order of time.

    Returns:
        The statistic z, its two-sided probability, and Sen's slope per step.
    """
    count = len(series)
    earlier, later = np.triu_indices(count, 1)
    differences = series[later] - series[earlier]
    score = float(np.sign(differences).sum())
    slope = float(np.median(differences / (later - earlier)))
    _, ties = np.unique(series, return_counts=True)
    variance = (count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    variance *= _inflation(_ranks(series - slope * np.arange(count)))
    if variance <= 0 or score == 0:
        return 0.0, 1.0, slope
    z = (score - math.copysign(1, score)) / math.sqrt(variance)
    return z, 2 * statistics.NormalDist().cdf(-abs(z)), slope


def pettitt(series: np.ndarray) -> tuple[int, float, float]:
    """Pettitt's test for a shift of the level.

    Args:
        series: [n], in the order of time.

    Returns:
        How many values are before the shift, the statistic K, and its approximate probability for independent values.
    """
    count = len(series)
    ranks = _ranks(series)
    statistic = 2 * np.cumsum(ranks) - np.arange(1, count + 1) * (count + 1)
    at = int(np.argmax(np.abs(statistic)))
    highest = float(abs(statistic[at]))
    return at + 1, highest, min(1.0, 2 * math.exp(-6 * highest**2 / (count**3 + count**2)))


def best_step(series: np.ndarray) -> tuple[int, float]:
    """The step that fits best: how many values are before it, and how much higher the level is after it.

    It leaves the least sum of absolute deviations from the medians of both sides, which have a tenth of the values at
    least. Pettitt's statistic finds that there is a step, and places it too near the middle.

    Args:
        series: [n], n of 20 or more, in the order of time.
    """
    count = len(series)
    edge = max(3, count // _EDGE)
    places = range(edge, count - edge + 1)
    losses = [_loss(series[:place]) + _loss(series[place:]) for place in places]
    before = places[int(np.argmin(losses))]
    return before, float(np.median(series[before:]) - np.median(series[:before]))


def _step_p(stepped: np.ndarray, step: float, before: int, inflation: float) -> float:
    """The probability of a step of this size anywhere in normal values that are AR(1), by Bonferroni's inequality.

    Ranks can't tell a step of twice the spread from one of ten times. With few windows that depend on each other, no
    step at all would be significant by ranks alone.
    """
    count = len(stepped)
    spread = float(stepped.std(ddof=1))
    error = spread * math.sqrt(inflation * (1 / before + 1 / (count - before)))
    if error < _ROUNDING:
        return 0.0 if abs(step) >= _ROUNDING else 1.0
    return min(1.0, 2 * count * statistics.NormalDist().cdf(-abs(step) / error))


def _judge(series: np.ndarray) -> tuple[SteadinessVerdict, float | None, int | None]:
    """The verdict, the relative change, and how many windows are before a shift."""
    count, least = len(series), math.log1p(LEAST_CHANGE)
    _, trend_p, slope = mann_kendall(series)
    trend = slope * (count - 1)
    before, step = best_step(series)
    stepped = series - step * (np.arange(count) >= before)
    inflation = _dependence(stepped)
    _, statistic, _ = pettitt(series)
    ranked_p = min(1.0, 2 * math.exp(-6 * statistic**2 / (count**3 + count**2) / inflation))
    step_p = min(ranked_p, _step_p(stepped, step, before, inflation))
    drifts = trend_p < SIGNIFICANCE and abs(trend) >= least
    shifts = step_p < SIGNIFICANCE and abs(step) >= least
    straight = series - slope * np.arange(count)
    if shifts and (not drifts or _loss(stepped) <= _STEP_FITS_BETTER * _loss(straight)):
        verdict, change, rest, at = "LEVEL_SHIFT", math.expm1(step), stepped, before
    elif drifts:
        verdict, change, rest, at = "DRIFT", math.expm1(trend), straight, None
    else:
        verdict, change, rest, at = "STEADY", None, series, None
    if float(np.median(np.abs(rest - np.median(rest)))) * 1.4826 > _MOST_SPREAD:
        return "NO_STEADY_STATE", None, None
    return verdict, change, at  # type: ignore[return-value]


def _loss(residuals: np.ndarray) -> float:
    return float(np.abs(residuals - np.median(residuals)).sum())


def _dependence(residuals: np.ndarray) -> float:
    """How many times the variance of a mean is that of independent values, if the values are AR(1).

    The coefficient is corrected for its bias in short series, (1 + 4 r) / n as for a fitted shift.
    """
    centred = residuals - residuals.mean()
    total = float((centred**2).sum())
    if float(np.ptp(centred)) < _ROUNDING:
        return 1.0
    found = float((centred[1:] * centred[:-1]).sum()) / total
    found = min(0.9, found + (1 + 4 * found) / len(residuals))
    return max(1.0, (1 + found) / (1 - found))


def _inflation(ranks: np.ndarray) -> float:
    """Hamed and Rao's factor of the variance, from the significant autocorrelations of the ranks."""
    count = len(ranks)
    centred = ranks - ranks.mean()
    total = float((centred**2).sum())
    if total == 0:
        return 1.0
    lags = np.arange(1, count)
    found = np.array([float((centred[lag:] * centred[:-lag]).sum()) for lag in lags]) / total
    notable = np.abs(found) > statistics.NormalDist().inv_cdf(1 - _LAG_SIGNIFICANCE / 2) / math.sqrt(count)
    weights = (count - lags) * (count - lags - 1) * (count - lags - 2)
    return 1 + 2 / (count * (count - 1) * (count - 2)) * float((weights * found * notable).sum())


def _ranks(series: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing their mean rank."""
    _, places, counts = np.unique(series, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places])


def _too_short(run: Windows) -> Steadiness:
    return Steadiness(
        verdict="TOO_SHORT",
        change=None,
        at_s=None,
        cropped_s=0.0,
        level=None,
        windows=len(run.median),
        retraced=run.retraced,
        because=(
            f"The run has {len(run.median)} windows of at least {WINDOW_S:g} s and {LEAST_EXECUTIONS} executions; "
            f"{LEAST_WINDOWS} are needed to tell whether it was steady.",
        ),
    )


def _sentence(verdict: SteadinessVerdict, change: float | None, at_s: float | None) -> str:
    if change is None:
        if verdict == "STEADY":
            return "The run was steady."
        return "The run never settled at one level, so its numbers describe no steady state."
    how = f"{abs(change):.1%} {'slower' if change > 0 else 'faster'}"
    if at_s is not None:
        return f"The model became {how} at {at_s:.0f} s."
    return f"The model became {how} in the course of the run."


def _sides(series: MachineSeries, at_s: float) -> tuple[float, float] | None:
    before, after = series.values[series.at_s <= at_s], series.values[series.at_s > at_s]
    if not len(before) or not len(after):
        return None
    return float(np.median(before)), float(np.median(after))


def _moved(series: MachineSeries, at_s: float) -> bool:
    found = _sides(series, at_s)
    return found is not None and abs(found[1] - found[0]) >= LEAST_CHANGE * max(abs(found[0]), abs(found[1]), 1e-9)


def _machine(series: MachineSeries, at_s: float) -> str:
    found = _sides(series, at_s)
    assert found is not None
    verb = "fell" if found[1] < found[0] else "rose"
    return f"{series.name} {verb} {found[0]:.0f} -> {found[1]:.0f} {series.unit} at {at_s:.0f} s."
