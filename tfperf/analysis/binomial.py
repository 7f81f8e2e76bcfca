"""The binomial distribution, exact to about nine digits for millions of trials."""

from __future__ import annotations

import math

import numpy as np

# Terms further than this many standard deviations below the last one add less than 1e-16 to the sum.
_REACH = 12


def cdf(successes: int, *, trials: int, probability: float) -> float:
    """The probability of at most `successes` in `trials` independent trials.

    Sums terms downwards from the last one, each computed from its neighbour, until they are negligible. The time grows
    with the square root of `trials`.

    Args:
        successes: any whole number; the result is 0 below 0.
        trials: 1 or more.
        probability: the probability of a success, between 0 and 1.
    """
    if successes < 0 or successes >= trials:
        return float(successes >= trials)
    if successes > trials * probability:
        return 1 - cdf(trials - successes - 1, trials=trials, probability=1 - probability)
    deviation = math.sqrt(trials * probability * (1 - probability))
    counts = np.arange(successes, max(0, successes - math.ceil(_REACH * deviation) - _REACH), -1)
    ratios = counts * (1 - probability) / ((trials - counts + 1) * probability)
    last = math.exp(_log_term(successes, trials=trials, probability=probability))
    return min(1.0, last * (1 + float(np.cumprod(ratios).sum())))


def quantile(level: float, *, trials: int, probability: float) -> int:
    """The smallest number of successes whose `cdf` is at least `level`."""
    low, high = 0, trials
    while low < high:
        middle = (low + high) // 2
        if cdf(middle, trials=trials, probability=probability) >= level:
            high = middle
        else:
            low = middle + 1
    return low


def _log_term(successes: int, *, trials: int, probability: float) -> float:
    failures = trials - successes
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    return ways + successes * math.log(probability) + failures * math.log1p(-probability)
