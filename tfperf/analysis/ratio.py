"""How many times as high a metric is in one set of runs as in another, with a 95 % interval.

All arithmetic is on logarithms of the runs' values, so that a ratio and its inverse mean the same: the ratio is that of
geometric means. The intervals are Student's:

- Welch's (Biometrika 34, 1947) for two sets of runs that are independent of each other;
- that of paired differences where the runs alternated, so that a drift of the machine from run to run is in both runs
  of a pair and leaves the difference (R. A. Fisher, "The Design of Experiments", 1935, chapter 3);
- the limits for one more run like the others, where one run stands against several;
- the runs' own intervals, combined by MOVER (Zou & Donner, Statistics in Medicine 27, 2008), for one against one.

Resampling five runs is no alternative: a percentile bootstrap of so few values is too narrow by a quarter or more
(Hesterberg, The American Statistician 69, 2015), and one that adds the noise within runs again is too wide.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfperf.analysis import student

CONFIDENCE = 0.95
LEAST_PAIRS = 5
Method = Literal["paired", "Welch", "one more run", "within the runs", "unknown"]

_LEVEL = (1 + CONFIDENCE) / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunValue:
    """The value of a metric in one run.

    Attributes:
        value: the value over the whole run, above 0.
        low: the lower end of its 95 % interval from within this run; None if it has none, as a time to train.
        high: the upper end.
        started_s: when the run started, in seconds since any time that all runs share; None if unknown.
    """

    value: float
    low: float | None = None
    high: float | None = None
    started_s: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatioEstimate:
    """The logarithm of a ratio.

    Attributes:
        log_ratio: of geometric means, candidate over baseline.
        low: the lower end of its 95 % interval; None if nothing determines it.
        high: the upper end.
        p: the two-sided probability of such a ratio if nothing changed; None with one run on a side.
        method: where the interval comes from.
    """

    log_ratio: float
    low: float | None
    high: float | None
    p: float | None
    method: Method


def estimate(baseline: Sequence[RunValue], candidate: Sequence[RunValue]) -> RatioEstimate:
    """The ratio of the candidate's values to the baseline's.

    Args:
        baseline: one run or more, with values above 0.
        candidate: the same.
    """
    logs = [np.log([run.value for run in runs]) for runs in (baseline, candidate)]
    log_ratio = float(logs[1].mean() - logs[0].mean())
    if min(map(len, logs)) == 1:
        return _single(baseline, candidate, logs, log_ratio)
    differences = _paired(baseline, candidate)
    if differences is None:
        error, freedom, p = welch(*logs)
        method: Method = "Welch"
    else:
        freedom, method = float(len(differences) - 1), "paired"
        error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
        p = student.two_sided(log_ratio / error, freedom=freedom) if error else float(log_ratio == 0)
    reach = student.quantile(_LEVEL, freedom=freedom) * error
    return RatioEstimate(log_ratio=log_ratio, low=log_ratio - reach, high=log_ratio + reach, p=p, method=method)


def welch(baseline: np.ndarray, candidate: np.ndarray) -> tuple[float, float, float]:
    """Welch's test of two means.

    Args:
        baseline: values, [n] with n of 2 or more.
        candidate: values, [m] with m of 2 or more.

    Returns:
        The standard error of the difference, its degrees of freedom, and the two-sided probability.
    """
    variances = [float(side.var(ddof=1)) / len(side) for side in (baseline, candidate)]
    total = sum(variances)
    difference = float(candidate.mean() - baseline.mean())
    if total == 0:
        return 0.0, float(len(baseline) + len(candidate) - 2), float(difference == 0)
    shares = zip(variances, (len(baseline), len(candidate)), strict=True)
    freedom = total**2 / sum(variance**2 / (count - 1) for variance, count in shares)
    return math.sqrt(total), freedom, student.two_sided(difference / math.sqrt(total), freedom=freedom)


def alternated(baseline: Sequence[RunValue], candidate: Sequence[RunValue]) -> bool:
    """Whether, in the order of time, every two successive runs are one of each side, as in ABAB and ABBA."""
    return _pairs(baseline, candidate) is not None


def _pairs(baseline: Sequence[RunValue], candidate: Sequence[RunValue]) -> list[tuple[float, float]] | None:
    """The values of each pair, (baseline, candidate); None if the runs didn't alternate or it isn't known."""
    runs = [(run.started_s, side, run.value) for side, runs in enumerate((baseline, candidate)) for run in runs]
    if len(baseline) != len(candidate) or len({started for started, _, _ in runs} - {None}) < len(runs):
        return None
    ordered = sorted(runs)
    pairs = [sorted(ordered[place : place + 2], key=lambda run: run[1]) for place in range(0, len(ordered), 2)]
    if any((first[1], second[1]) != (0, 1) for first, second in pairs):
        return None
    return [(first[2], second[2]) for first, second in pairs]


def _paired(baseline: Sequence[RunValue], candidate: Sequence[RunValue]) -> np.ndarray | None:
    pairs = _pairs(baseline, candidate)
    if pairs is None or len(pairs) < LEAST_PAIRS:
        return None
    logs = np.log(pairs)
    return np.asarray(logs[:, 1] - logs[:, 0])


def _single(
    baseline: Sequence[RunValue], candidate: Sequence[RunValue], logs: Sequence[np.ndarray], log_ratio: float
) -> RatioEstimate:
    """One run on a side: against several, the limits for one more run like them; against one, what is within both."""
    several = max(logs, key=len)
    if len(several) > 2:
        spread = float(several.std(ddof=1)) * math.sqrt(1 + 1 / len(several))
        below = above = student.quantile(_LEVEL, freedom=len(several) - 1) * spread
        method: Method = "one more run"
    else:
        known = _within(baseline[0], candidate[0]) if len(several) == 1 else None
        if known is None:
            return RatioEstimate(log_ratio=log_ratio, low=None, high=None, p=None, method="unknown")
        (below, above), method = known, "within the runs"
    return RatioEstimate(log_ratio=log_ratio, low=log_ratio - below, high=log_ratio + above, p=None, method=method)


def _within(baseline: RunValue, candidate: RunValue) -> tuple[float, float] | None:
    """How far below and above the log ratio its interval reaches; None if a run has no interval."""
    ends = baseline.low, baseline.high, candidate.low, candidate.high
    if any(end is None or end <= 0 for end in ends):
        return None
    base_low, base_high, low, high = (math.log(end) for end in ends if end is not None)
    base, value = math.log(baseline.value), math.log(candidate.value)
    return math.hypot(value - low, base_high - base), math.hypot(high - value, base - base_low)
