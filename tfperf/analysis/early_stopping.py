"""LoadGen's early stopping: how many queries a percentile needs, and what bounds it with 99 % confidence.

A query is late when it takes longer than the percentile in question. If late ones had the probability that the
percentile allows, `late` or fewer of them among `queries` would have to be as improbable as 1 %; then the percentile
is within the bound with 99 % confidence. Source: loadgen/early_stopping.cc and `EarlyStopping` in loadgen/results.cc
of mlcommons/inference, with its confidence of 0.99 and its tolerance of 0.
"""

from __future__ import annotations

import numpy as np

from tfperf.analysis import binomial

CONFIDENCE = 0.99


def passes(*, queries: int, late: int, percentile: float) -> bool:
    """Whether a Server run with so many late queries keeps its latency bound at this percentile.

    Args:
        queries: all of them, the late ones too.
        late: those that took longer than the bound.
        percentile: such as 99.
    """
    if queries <= 0:
        return False
    return binomial.cdf(late, trials=queries, probability=_late(percentile)) <= 1 - CONFIDENCE


def least_queries(percentile: float, *, late: int = 1) -> int:
    """The fewest queries that suffice when `late` of them are late.

    SingleStream and MultiStream need those of `late=1`, as their bound is a latency that was observed: 64 for the 90th
    percentile, 662 for the 99th. Server without a late query needs those of `late=0`: 459 for the 99th.

    Args:
        percentile: such as 99.
        late: late queries among them.
    """
    low, high = late + 1, 2 * (late + 1)
    while not passes(queries=high, late=late, percentile=percentile):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if passes(queries=middle, late=late, percentile=percentile):
            high = middle
        else:
            low = middle + 1
    return low


def discarded(queries: int, *, percentile: float) -> int | None:
    """How many of the highest latencies lie above the bound; None with too few queries for a bound.

    Args:
        queries: all of them.
        percentile: such as 90.
    """
    if queries < least_queries(percentile):
        return None
    # The fewest late queries that are more probable than 1 %; one less passes, and that one's latency is the bound.
    first_failing = binomial.quantile(1 - CONFIDENCE, trials=queries, probability=_late(percentile))
    passing = first_failing - 1
    if passes(queries=queries, late=first_failing, percentile=percentile):  # exactly 1 %
        passing = first_failing
    return passing - 1


def bound(latencies_ns: np.ndarray, percentile: float) -> float | None:
    """LoadGen's early-stopping estimate of the percentile, the metric of SingleStream and MultiStream.

    Args:
        latencies_ns: of every query, [n], in any order.
        percentile: 90 in SingleStream, 99 in MultiStream.

    Returns:
        The latency below which the percentile lies with 99 % confidence; None with too few queries.
    """
    above = discarded(len(latencies_ns), percentile=percentile)
    if above is None:
        return None
    rank = len(latencies_ns) - above - 1
    return float(np.partition(latencies_ns, rank)[rank])


def _late(percentile: float) -> float:
    if not 0 < percentile < 100:
        raise ValueError(f"percentile must be between 0 and 100, got {percentile}. The 99th is 99, not 0.99.")
    return 1 - percentile / 100
