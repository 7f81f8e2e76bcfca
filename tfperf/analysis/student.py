"""Student's t distribution, exact to about ten digits, also for fractional degrees of freedom."""

from __future__ import annotations

import math

from tfperf.analysis import beta


def two_sided(t: float, *, freedom: float) -> float:
    """The probability that |T| is at least |t|.

    Args:
        t: the statistic; infinite values have probability 0.
        freedom: degrees of freedom, above 0, also fractional as in Welch's test.
    """
    if not freedom > 0:
        raise ValueError(f"freedom must be above 0, got {freedom}. A mean of n values has n - 1.")
    if math.isinf(t):
        return 0.0
    return beta.regularized(freedom / (freedom + t * t), a=freedom / 2, b=0.5)


def quantile(level: float, *, freedom: float) -> float:
    """The t that T is below with probability `level`, such as 2.776 for 0.975 and 4 degrees of freedom."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}. The 97.5th percentile is 0.975.")
    tail = 2 * min(level, 1 - level)
    low, high = 0.0, 1.0
    while two_sided(high, freedom=freedom) > tail:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if two_sided(middle, freedom=freedom) > tail:
            low = middle
        else:
            high = middle
    return math.copysign((low + high) / 2, level - 0.5) if level != 0.5 else 0.0
