"""A run over time: samples a second and a latency percentile in each window."""

from __future__ import annotations

import numpy as np

from tfperf.analysis.recorded import Recorded

SECOND_NS = 1_000_000_000


def rates(recorded: Recorded, *, window_s: float = 1.0) -> np.ndarray:
    """Samples a second in each whole window since the first execution began, [windows].

    The samples of an execution count in the window in which it ends; those of the part of a window at the end of the
    run are left out.
    """
    if not len(recorded.started_ns):
        return np.zeros(0)
    window_ns = int(window_s * SECOND_NS)
    since_ns = recorded.ended_ns - recorded.started_ns.min()
    whole = int(since_ns.max() // window_ns)
    counts = np.bincount(since_ns // window_ns, weights=recorded.samples, minlength=whole)[:whole]
    return np.asarray(counts / window_s)


def latency_ns(recorded: Recorded, *, percentile: float, window_s: float = 1.0) -> np.ndarray:
    """The percentile of the latencies of the queries that ended in each whole window, [windows]; NaN where none did."""
    if not len(recorded.latency_ns):
        return np.zeros(0)
    window_ns = int(window_s * SECOND_NS)
    ended_ns = recorded.issued_ns + recorded.latency_ns
    order = np.argsort(ended_ns, kind="stable")
    windows = (ended_ns[order] - recorded.issued_ns.min()) // window_ns
    whole = int(windows[-1])
    edges = np.searchsorted(windows, np.arange(whole + 1))
    found = np.full(whole, np.nan)
    for window in range(whole):
        latencies_ns = np.sort(recorded.latency_ns[order[edges[window] : edges[window + 1]]])
        if len(latencies_ns):
            found[window] = latencies_ns[int(len(latencies_ns) * percentile / 100)]
    return found
