"""The incomplete beta function, exact to about ten digits."""

from __future__ import annotations

import math

_TINY = 1e-300
_CONVERGED = 1e-15
_TERMS = 10_000


def regularized(x: float, *, a: float, b: float) -> float:
    """The regularized incomplete beta function, by its continued fraction (Abramowitz & Stegun 26.5.8).

    It is also the probability that a value with the beta distribution of `a` and `b` is at most `x`.

    Args:
        x: below 0 counts as 0, above 1 as 1.
        a: above 0.
        b: above 0.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - regularized(1 - x, a=b, b=a)
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
