"""What the harness adds to the model: between LoadGen's clock and the SUT, and around the model's call."""

from __future__ import annotations

from tfperf.analysis.recorded import Recorded


def harness_ns(recorded: Recorded, *, loadgen_mean_ns: float) -> float | None:
    """LoadGen's mean latency less the mean call of the model, where one query is one execution.

    That is SingleStream and MultiStream; elsewhere the latency holds the queue, and this tells nothing.

    Args:
        recorded: what the SUT recorded.
        loadgen_mean_ns: `result_mean_latency_ns` of the detail log.

    Returns:
        None where nothing was executed.
    """
    return loadgen_mean_ns - float(recorded.compute_ns.mean()) if len(recorded.compute_ns) else None


def scheduling_lag_ns(recorded: Recorded, *, loadgen_mean_ns: float) -> float | None:
    """LoadGen's mean latency less the SUT's own: what passes before the SUT hears of a query, and after it answered.

    In Server LoadGen's clock starts when a query is due, so a late callback, as of a thread that holds the interpreter,
    shows here and nowhere in the SUT's own latencies.

    Args:
        recorded: what the SUT recorded; all of it, as LoadGen's mean is of all queries.
        loadgen_mean_ns: `result_mean_latency_ns` of the detail log.

    Returns:
        None where nothing was answered.
    """
    return loadgen_mean_ns - float(recorded.latency_ns.mean()) if len(recorded.latency_ns) else None
