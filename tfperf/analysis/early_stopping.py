"""LoadGen's early stopping: how many queries a percentile needs, and what bounds it with 99 % confidence.

A query is late when it takes longer than the bound. Suppose queries were late with exactly the probability that the
percentile allows. If `late` or fewer late queries among `queries` would then have a probability of 1 % or less, the
percentile is within the bound with 99 % confidence. Source: loadgen/early_stopping.cc and `EarlyStopping` in
loadgen/results.cc of mlcommons/inference, with their confidence of 0.99 and tolerance of 0.
"""

from __future__ import annotations

import numpy as np

from tfperf.analysis import binomial

CONFIDENCE = 0.99


def passes(*, queries: int, late: int, percentile: float) -> bool:
    """Whether a Server run with this many late queries meets its latency bound at this percentile.

    Args:
        queries: all queries, including late ones.
        late: queries that took longer than the bound.
        percentile: the percentile, such as 99.
    """
    if queries <= 0:
        return False
    return binomial.cdf(late, trials=queries, probability=_late(percentile)) <= 1 - CONFIDENCE


def least_queries(percentile: float, *, late: int = 1) -> int:
    """The smallest number of queries that is enough when `late` of them are late.

    SingleStream and MultiStream need the number for `late=1`, since their bound is an observed latency: 64 for the 90th
    percentile, 662 for the 99th. Server without a late query needs the number for `late=0`: 459 for the 99th.

    Args:
        percentile: the percentile, such as 99.
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
    """How many of the highest latencies are above the bound; None with too few queries for a bound.

    Args:
        queries: all queries.
        percentile: the percentile, such as 90.
    """
    if queries < least_queries(percentile):
        return None
    # The smallest number of late queries with a probability above 1 %. One fewer passes; its latency is the bound.
    first_failing = binomial.quantile(1 - CONFIDENCE, trials=queries, probability=_late(percentile))
    passing = first_failing - 1
    if passes(queries=queries, late=first_failing, percentile=percentile):  # exactly 1 %
        passing = first_failing
    return passing - 1


def bound(latencies_ns: np.ndarray, percentile: float) -> float | None:
    """LoadGen's early-stopping estimate of the percentile, the metric of SingleStream and MultiStream.

    Args:
        latencies_ns: the latency of every query, [n], in any order.
        percentile: 90 in SingleStream, 99 in MultiStream.

    Returns:
        The latency that bounds the percentile with 99 % confidence; None with too few queries.
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
