"""How much less a series of dependent values says about its mean than as many independent ones, from its spectrum.

The variance of a mean is the spectrum at frequency 0 over the length of the series. Heidelberger & Welch, "A spectral
method for confidence interval generation and run length control in simulations" (Communications of the ACM 24, 1981),
find it by extrapolation: a polynomial through the logarithms of the periodogram at low frequencies, averaged in pairs.
Unlike means of batches, it needs no batches that are long against the dependence.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

PAIRS, DEGREE = 50, 2  # of those in their table I, the nearest to 95 % in simulations made to choose
_MOST_BLOCKS = 1 << 14
_LEAST_PAIRS = 12  # for the polynomial; below, the mean of the logarithms
# Mean and variance of the logarithm of half the sum of two independent exponential values: digamma(2) - log 2 and
# trigamma(2).
_MEAN_LOG, _VARIANCE_LOG = -0.270363, 0.644934
_LEAST_POWER = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class LongRun:
    """The variance of a mean.

    Attributes:
        inflation: how many times as large it is as that of independent values.
        freedom: the degrees of freedom of the estimate; infinite if the series is too short for one.
    """

    inflation: float
    freedom: float


def long_run(series: np.ndarray) -> LongRun:
    """The variance of the mean of a series, over that of independent values.

    Args:
        series: [n], in the order of time, not all the same.
    """
    variance = float(series.var())
    # Sums of neighbours keep the low frequencies, which alone are used.
    size = max(1, len(series) // _MOST_BLOCKS)
    blocks = series[: len(series) // size * size].reshape(-1, size).sum(axis=1, dtype=float)
    pairs = min(PAIRS, len(blocks) // 4)
    if pairs < 2:
        return LongRun(inflation=1.0, freedom=math.inf)
    power = np.abs(np.fft.rfft(blocks - blocks.mean())[1 : 2 * pairs + 1]) ** 2 / (len(blocks) * size * variance)
    logs = np.log(np.maximum(power.reshape(pairs, 2).mean(axis=1), _LEAST_POWER)) - _MEAN_LOG
    degree = DEGREE if pairs >= _LEAST_PAIRS else 0
    design = np.vander((4 * np.arange(1, pairs + 1) - 1) / (4 * pairs), degree + 1, increasing=True)
    covariance = np.linalg.inv(design.T @ design)
    at_zero = float((covariance @ design.T @ logs)[0])
    error = _VARIANCE_LOG * float(covariance[0, 0])  # of the extrapolated logarithm
    return LongRun(inflation=math.exp(at_zero - error / 2), freedom=2 / math.expm1(error))
