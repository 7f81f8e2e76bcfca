"""Whether an improvement is more than what seeds do."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from tfperf import result

# The 97.5th percentile of Student's t by degrees of freedom, 1 to 30; NIST/SEMATECH e-Handbook, table 1.3.6.7.2.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def compare(
    default: Sequence[float | None], best: Sequence[float | None], *, direction: Literal["max", "min"]
) -> result.Comparison:
    """The difference of the means with its 95 % confidence interval by Welch's t-test.

    Args:
        default: the objective of each run with the default values; None where it has none.
        best: with the best values.
        direction: whether more or less is better.
    """
    plain = result.Comparison(default=tuple(default), best=tuple(best))
    ours, theirs = _known(best), _known(default)
    if ours is None or theirs is None:
        return plain
    sign = 1 if direction == "max" else -1
    improvement = sign * (statistics.fmean(ours) - statistics.fmean(theirs))
    half = _half_width(ours, theirs)
    return result.Comparison(
        default=plain.default,
        best=plain.best,
        improvement=improvement,
        low=improvement - half,
        high=improvement + half,
        beyond_noise=improvement - half > 0,
    )


def _known(values: Sequence[float | None]) -> list[float] | None:
    """The values, if there are at least two and none is missing."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) > 1 else None


def _half_width(one: Sequence[float], other: Sequence[float]) -> float:
    parts = [statistics.variance(values) / len(values) for values in (one, other)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (one, other), strict=True)
    )
    return _T[min(max(int(freedom), 1), len(_T)) - 1] * math.sqrt(sum(parts))
