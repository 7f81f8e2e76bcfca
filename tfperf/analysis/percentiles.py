"""Latency percentiles of one run, with confidence intervals that allow for autocorrelation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfperf import result
from tfperf.analysis import beta, early_stopping, spectrum, student

STANDARD = (50.0, 90.0, 95.0, 99.0, 99.9)
CONFIDENCE = 0.95

_NORMAL = 1.959964
_ENOUGH = 30  # latencies above a percentile, to estimate how they depend on each other
_STEPS = 40  # halvings until a rank is known


def percentiles(
    latencies_ns: np.ndarray,
    percents: Sequence[float] = STANDARD,
    *,
    slowest_ns: np.ndarray | None = None,
    queries: int | None = None,
) -> tuple[result.Percentile, ...]:
    """The percentiles as LoadGen picks them, each with a 95 % confidence interval.

    The interval comes from order statistics for the number of independent latencies that would carry as much
    information, see `effective_size`. Its ends lie between two latencies where that gives 95 % more exactly (Hutson,
    "Calculating nonparametric confidence intervals for quantiles using fractional order statistics", Journal of
    Applied Statistics 26, 1999). It covers this run only; another run may differ by more.

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

    The variance of the share above the percentile comes from its spectrum, see `tfperf.analysis.spectrum`, as in
    Heidelberger & Lewis, "Quantile estimation in dependent sequences", Operations Research 32 (1984). It is enlarged by
    Student's t because it is estimated. With fewer than 30 latencies above the percentile, how they depend on each
    other is taken from the lower percentile that has 30.

    Where latencies depend on each other over more than a hundredth of the run, the interval of a high percentile is too
    narrow.

    Args:
        ordered: the latencies in ascending order, [n].
        latencies_ns: the same latencies in the order of time.
        percentile: the percentile, such as 99.
    """
    above = min(percentile, max(50.0, 100 * (1 - _ENOUGH / len(ordered))))
    series = latencies_ns > _value(ordered, above)
    if series.all() or not series.any():
        return float(len(ordered))
    found = spectrum.long_run(series)
    student_t = _NORMAL if math.isinf(found.freedom) else student.quantile((1 + CONFIDENCE) / 2, freedom=found.freedom)
    return len(ordered) / (found.inflation * (student_t / _NORMAL) ** 2)


def _percentile(ordered: np.ndarray, latencies_ns: np.ndarray, *, percentile: float) -> result.Percentile:
    low, high, value_ns = None, None, _value(ordered, percentile)
    if len(ordered) >= early_stopping.least_queries(percentile):
        effective = effective_size(ordered, latencies_ns, percentile=percentile)
        low = _at(ordered, _share((1 + CONFIDENCE) / 2, effective=effective, percentile=percentile))
        high = _at(ordered, _share((1 - CONFIDENCE) / 2, effective=effective, percentile=percentile))
    known = low is not None and high is not None
    return result.Percentile(
        percentile=percentile,
        value_ns=value_ns,
        low_ns=min(low, value_ns) if known and low is not None else None,
        high_ns=max(high, value_ns) if known and high is not None else None,
    )


def _share(level: float, *, effective: float, percentile: float) -> float:
    """The share of the latencies below the one that the percentile is above with this probability, 0 to 1.

    The order statistic at a share s of n values has the beta distribution of (n + 1) s and (n + 1)(1 - s).
    """
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        ranks = (effective + 1) * middle, (effective + 1) * (1 - middle)
        if beta.regularized(percentile / 100, a=ranks[0], b=ranks[1]) > level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _at(ordered: np.ndarray, share: float) -> float | None:
    """The value at a share of the ordered latencies, between two of them; None beyond the lowest and the highest."""
    rank = share * (len(ordered) + 1) - 1
    if not 0 <= rank <= len(ordered) - 1:
        return None
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below]) + (rank - below) * (float(ordered[above]) - float(ordered[below]))


def _value(ordered: np.ndarray, percentile: float) -> float:
    """The percentile as LoadGen picks it (`ProcessLatencies` in loadgen/results.cc)."""
    return float(ordered[min(int(len(ordered) * percentile / 100), len(ordered) - 1)])
