"""Latency percentiles of one run, with confidence intervals that allow for autocorrelation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfperf import result
from tfperf.analysis import binomial, early_stopping

STANDARD = (50.0, 90.0, 95.0, 99.0, 99.9)
CONFIDENCE = 0.95

# Schmeiser, "Batch size effects in the analysis of simulation output", Operations Research 30 (1982): more than 30
# batches add little precision and are too short to be independent of each other. Fewer batches are longer, but their
# variance is less certain, so the longer batches count only where they show a larger variance.
# The values are the 97.5 % points of Student's t with one degree of freedom less than the number of batches.
_STUDENT = {30: 2.0452, 10: 2.2622}
_NORMAL = 1.9600
_ENOUGH = 30  # latencies above a percentile: one in each batch
_WELL_KNOWN = 90.0


def percentiles(
    latencies_ns: np.ndarray,
    percents: Sequence[float] = STANDARD,
    *,
    slowest_ns: np.ndarray | None = None,
    queries: int | None = None,
) -> tuple[result.Percentile, ...]:
    """The percentiles as LoadGen picks them, each with a 95 % confidence interval.

    The interval comes from order statistics (Woodruff, JASA 47, 1952) for the number of independent latencies that
    would carry as much information, see `effective_size`. It covers this run only; another run may differ by more.

    There is no interval with fewer latencies than LoadGen's early stopping needs, such as 662 for the 99th percentile,
    nor where its upper end would be above the highest latency. Latencies that rise throughout the run, as in Offline,
    have no meaningful percentile; they get a very wide interval or none.

    Args:
        latencies_ns: the latency of every query, [n], in order of time; or those of every n-th query, and then
            the percentiles that lie among `slowest_ns` are exact and the others are those of these queries.
        percents: the percentiles, such as 99.9.
        slowest_ns: the highest latencies of all queries, ascending, if `latencies_ns` lacks some.
        queries: how many queries there were, if `latencies_ns` lacks some.

    Returns:
        One for each of `percents`; empty where nothing was answered.
    """
    if not len(latencies_ns):
        return ()
    ordered = np.sort(latencies_ns)
    found = [_percentile(ordered, latencies_ns, percentile=percentile) for percentile in percents]
    if slowest_ns is None or queries is None:
        return tuple(found)
    return tuple(_exactly(each, slowest_ns, queries=queries) for each in found)


def _exactly(found: result.Percentile, slowest_ns: np.ndarray, *, queries: int) -> result.Percentile:
    """The percentile of all queries, if it is among the slowest; with an interval that holds it."""
    above = queries - 1 - min(int(queries * found.percentile / 100), queries - 1)
    if above >= len(slowest_ns):
        return found
    value_ns = float(slowest_ns[len(slowest_ns) - 1 - above])
    return dataclasses.replace(
        found,
        value_ns=value_ns,
        low_ns=None if found.low_ns is None else min(found.low_ns, value_ns),
        high_ns=None if found.high_ns is None else max(found.high_ns, value_ns),
    )


def effective_size(ordered: np.ndarray, latencies_ns: np.ndarray, *, percentile: float) -> float:
    """The number of independent latencies that would determine a percentile as precisely as these do.

    The variance of the share above the percentile comes from the means of 30 consecutive batches, or of 10 if that is
    larger, as in Heidelberger & Lewis, "Quantile estimation in dependent sequences", Operations Research 32 (1984). It
    is never taken to be smaller than for independent latencies, and is enlarged by Student's t because it is estimated
    from few values. With fewer than 30 latencies above the percentile their dependence can't be estimated; it is taken
    from the 90th percentile instead.

    Latencies that depend on each other over more than a hundredth of the run are too few for any interval, and their
    interval is too narrow.

    Args:
        ordered: the latencies in ascending order, [n].
        latencies_ns: the same latencies in the order of time.
        percentile: the percentile, such as 99.
    """
    few = len(ordered) * (1 - percentile / 100) < _ENOUGH
    levels = {percentile, _WELL_KNOWN} if few and percentile > _WELL_KNOWN else {percentile}
    return len(ordered) / max(_widening(latencies_ns > _value(ordered, level)) for level in levels)


def _widening(above: np.ndarray) -> float:
    """How many times as many latencies are needed for the same precision as with independent latencies."""
    share = float(above.mean())
    if not 0 < share < 1:
        return 1.0
    found = [1.0]
    for batches, student in _STUDENT.items():
        size = len(above) // batches
        means = above[: size * batches].reshape(batches, size).mean(axis=1) if size else np.zeros(batches)
        design_effect = max(1.0, size * float(means.var(ddof=1)) / (share * (1 - share)))
        found.append(design_effect * (student / _NORMAL) ** 2 if design_effect > 1 else 1.0)
    return max(found)


def _percentile(ordered: np.ndarray, latencies_ns: np.ndarray, *, percentile: float) -> result.Percentile:
    low, high = None, None
    if len(ordered) >= early_stopping.least_queries(percentile):
        effective = effective_size(ordered, latencies_ns, percentile=percentile)
        low, high = _ranks(len(ordered), effective=effective, percentile=percentile)
    return result.Percentile(
        percentile=percentile,
        value_ns=_value(ordered, percentile),
        low_ns=None if low is None else float(ordered[low]),
        high_ns=None if high is None else float(ordered[high]),
    )


def _ranks(count: int, *, effective: float, percentile: float) -> tuple[int | None, int | None]:
    """The ranks of the interval's ends among `count` ordered latencies; None if an end is out of range."""
    trials, tail = max(1, int(effective)), (1 - CONFIDENCE) / 2
    below = binomial.quantile(tail, trials=trials, probability=percentile / 100) - 1
    above = binomial.quantile(1 - tail, trials=trials, probability=percentile / 100)
    if below < 0 or above >= trials:
        return None, None
    stretch = count / trials
    return int(below * stretch), min(count - 1, math.ceil((above + 1) * stretch) - 1)


def _value(ordered: np.ndarray, percentile: float) -> float:
    """The percentile as LoadGen picks it (`ProcessLatencies` in loadgen/results.cc)."""
    return float(ordered[min(int(len(ordered) * percentile / 100), len(ordered) - 1)])
