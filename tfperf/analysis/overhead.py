"""What the harness adds to the model: between LoadGen's clock and the SUT, and around the model's call."""

from __future__ import annotations

from tfperf.analysis.recorded import Recorded


def harness_ns(recorded: Recorded, *, loadgen_mean_ns: float) -> float | None:
    """LoadGen's mean latency less the model's time for a query, where nothing waits for another query.

    That is SingleStream and MultiStream; elsewhere the latency holds the queue, and this tells nothing.

    Args:
        recorded: what the SUT recorded; all of it, as LoadGen's mean is of all queries.
        loadgen_mean_ns: of the queries: `result_mean_query_latency_ns` of the detail log in MultiStream, else
            `result_mean_latency_ns`.

    Returns:
        None where nothing was answered.
    """
    queries = len(recorded.latency_ns)
    return loadgen_mean_ns - int(recorded.compute_ns.sum()) / queries if queries else None


def scheduling_lag_ns(recorded: Recorded, *, loadgen_mean_ns: float) -> float | None:
    """LoadGen's mean latency less the SUT's own: what passes before the SUT hears of a query, and after it answered.

    In Server LoadGen's clock starts when a query is due, so a late callback, as of a thread that holds the interpreter,
    shows here and nowhere in the SUT's own latencies.

    Args:
        recorded: what the SUT recorded; all of it, as LoadGen's mean is of all queries.
        loadgen_mean_ns: as in `harness_ns`.

    Returns:
        None where nothing was answered.
    """
    return loadgen_mean_ns - float(recorded.latency_ns.mean()) if len(recorded.latency_ns) else None
