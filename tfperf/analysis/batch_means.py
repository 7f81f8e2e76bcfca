"""The precision of a mean over time, from the means of consecutive stretches of it."""

from __future__ import annotations

import math

import numpy as np

from tfperf.analysis import student

CONFIDENCE = 0.95
BATCHES = 20  # Schmeiser, "Batch size effects in the analysis of simulation output", Operations Research 30 (1982)
_LEAST_EXECUTIONS = 10 * BATCHES


def rate(samples: np.ndarray, ended_ns: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of the samples per second over a run, as shares of the rate itself: (0.98, 1.02).

    The run is cut into 20 equally long stretches. Neighbouring executions share their stretch, so their dependence is
    in the differences between stretches.

    Args:
        samples: samples of each execution, [n].
        ended_ns: when each ended, [n], in any order.

    Returns:
        None with fewer than 200 executions, or if the executions end at one time.
    """
    if len(samples) < _LEAST_EXECUTIONS or not np.ptp(ended_ns):
        return None
    order = np.argsort(ended_ns, kind="stable")
    # A stretch has the same number of executions and its own length, so that none is cut in two.
    edges = np.linspace(0, len(samples) - 1, BATCHES + 1).astype(int)
    counts = np.add.reduceat(samples[order][1:], edges[:-1])
    lengths_ns = np.diff(ended_ns[order][edges])
    typical = float(counts.sum() / lengths_ns.sum())
    # The error of a ratio of sums (Cochran, "Sampling Techniques", 1977, 6.4).
    residuals = counts - typical * lengths_ns
    error = math.sqrt(float((residuals**2).sum()) / (BATCHES - 1) / BATCHES) / float(counts.mean())
    reach = student.quantile((1 + CONFIDENCE) / 2, freedom=BATCHES - 1) * error
    return max(0.0, 1 - reach), 1 + reach
