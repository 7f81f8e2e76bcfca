"""A run over time: samples a second and a latency percentile in each window, and whether the model became slower."""

from __future__ import annotations

import numpy as np

from tfperf.analysis.recorded import Recorded

SECOND_NS = 1_000_000_000
NOTABLE_DRIFT = 0.03
LEAST_EXECUTIONS = 30


def rates(recorded: Recorded, *, window_s: float = 1.0) -> np.ndarray:
    """Samples a second in each whole window since the first execution began, [windows].

    The samples of an execution count in the window in which it ends. A partial window at the end is left out.
    """
    if not len(recorded.started_ns):
        return np.zeros(0)
    window_ns = int(window_s * SECOND_NS)
    since_ns = recorded.ended_ns - recorded.started_ns.min()
    whole = int(since_ns.max() // window_ns)
    counts = np.bincount(since_ns // window_ns, weights=recorded.samples, minlength=whole)[:whole]
    return np.asarray(counts * recorded.execution_every / window_s)


def latency_ns(recorded: Recorded, *, percentile: float, window_s: float = 1.0) -> np.ndarray:
    """The latency percentile of the queries that ended in each whole window, [windows]; NaN where none ended."""
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


def drift(recorded: Recorded) -> float | None:
    """How much slower the last third of the executions was than the first: 0.05 is 5 % slower, below 0 is faster.

    The medians of both thirds of `relative_compute` are compared, which a few slow executions do not move.

    Returns:
        None with fewer than 30 executions.
    """
    if len(recorded.compute_ns) < LEAST_EXECUTIONS:
        return None
    relative = relative_compute(recorded)
    third = len(relative) // 3
    return float(np.median(relative[-third:]) / np.median(relative[:third]) - 1)


def relative_compute(recorded: Recorded) -> np.ndarray:
    """The time of each execution over the median of those with as many samples of the same length, [executions].

    So a shift towards other sizes is not drift.
    """
    compute_ns = recorded.compute_ns
    _, sizes = np.unique(np.stack([recorded.samples, recorded.length]), axis=1, return_inverse=True)
    sizes = sizes.reshape(-1)
    order = np.lexsort((compute_ns, sizes))
    counts = np.bincount(sizes)
    medians = np.maximum(compute_ns[order][np.cumsum(counts) - counts + counts // 2], 1)
    return np.asarray(compute_ns / medians[sizes])


def drift_notice(found: float | None) -> str | None:
    """A sentence about a slowdown of more than 3 %; None if there is nothing to say.

    Args:
        found: the result of `drift`.
    """
    if found is None or found <= NOTABLE_DRIFT:
        return None
    return (
        f"The model was {found:.1%} slower in the last third of the run than in the first: the machine throttled or "
        "another program started, so a longer run would report a lower rate."
    )
