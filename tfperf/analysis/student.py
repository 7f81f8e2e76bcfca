"""Student's t distribution, exact to about ten digits, also for fractional degrees of freedom."""

from __future__ import annotations

import math

_TINY = 1e-300
_CONVERGED = 1e-15
_TERMS = 10_000


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
    return _beta(freedom / (freedom + t * t), a=freedom / 2, b=0.5)


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


def _beta(x: float, *, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, a=b, b=a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * _fraction(x, a=a, b=b))


def _fraction(x: float, *, a: float, b: float) -> float:
    """The continued fraction itself, by the method of Lentz as Thompson and Barnett changed it."""
    value, numerator, denominator = 1.0, 1.0, 0.0
    for term in range(1, _TERMS):
        half, odd = divmod(term, 2)
        if odd:
            factor = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            factor = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        denominator = 1 / (1 + factor * denominator or _TINY)
        numerator = 1 + factor / numerator or _TINY
        value *= numerator * denominator
        if abs(numerator * denominator - 1) < _CONVERGED:
            break
    return value
