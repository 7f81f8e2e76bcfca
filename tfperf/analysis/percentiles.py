"""Latency percentiles of one run, with intervals that hold for latencies that depend on their neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfperf import result
from tfperf.analysis import binomial, early_stopping

STANDARD = (50.0, 90.0, 95.0, 99.0, 99.9)
CONFIDENCE = 0.95

# Schmeiser, "Batch size effects in the analysis of simulation output", Operations Research 30 (1982): more than 30
# batches add little to the precision and make each one too short to be independent of the next.
# With fewer they are longer and less is known of their variance, so the longer count only where they say more.
# The values are the 97.5 % points of Student's t with one degree of freedom less than there are batches.
_STUDENT = {30: 2.0452, 10: 2.2622}
_NORMAL = 1.9600
_ENOUGH = 30  # latencies above a percentile, one for each batch
_WELL_KNOWN = 90.0


def percentiles(latencies_ns: np.ndarray, wanted: Sequence[float] = STANDARD) -> tuple[result.Percentile, ...]:
    """The percentiles as LoadGen picks them, each with a 95 % confidence interval.

    The interval is that of order statistics (Woodruff, JASA 47, 1952) for the number of independent latencies that
    would tell as much: see `effective_size`. It speaks for this run; another run may differ by more.

    There is none where so few latencies say nothing: below LoadGen's floor of early stopping, 662 for the 99th
    percentile; and where the upper end would lie beyond the highest latency. Latencies that rise all the time, as those
    of Offline, have no percentile that an interval could be for; they get a very wide one or none.

    Args:
        latencies_ns: of every query, [n], in the order of time.
        wanted: such as 99.9, in percent.

    Returns:
        One for each of `wanted`; none at all where nothing was answered.
    """
    if not len(latencies_ns):
        return ()
    ordered = np.sort(latencies_ns)
    return tuple(_percentile(ordered, latencies_ns, percentile=percentile) for percentile in wanted)


def effective_size(ordered: np.ndarray, latencies_ns: np.ndarray, *, percentile: float) -> float:
    """The number of independent latencies that would tell as much of a percentile as these do.

    The variance of the share above the percentile comes from the means of 30 consecutive batches, or of 10 if that is
    more, as in Heidelberger & Lewis, "Quantile estimation in dependent sequences", Operations Research 32 (1984). It is
    never taken as smaller than that of independent latencies, and made larger as Student's t says for a variance that
    is known from so few values. Where fewer than 30 latencies lie above the percentile they can't show how they depend
    on each other; they are taken to do so as those above the 90th percentile do.

    Latencies that depend on each other over more than a hundredth of the run are too few for any interval, and get one
    that is too narrow.

    Args:
        ordered: the latencies in ascending order, [n].
        latencies_ns: the same in the order of time.
        percentile: such as 99.
    """
    few = len(ordered) * (1 - percentile / 100) < _ENOUGH
    levels = {percentile, _WELL_KNOWN} if few and percentile > _WELL_KNOWN else {percentile}
    return len(ordered) / max(_widening(latencies_ns > _value(ordered, level)) for level in levels)


def _widening(above: np.ndarray) -> float:
    """How many times the latencies that are needed for the same precision, compared with independent ones."""
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
    """The places of the ends of the interval among `count` ordered latencies; None where there is no such place."""
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
