"""Where the time of a run went: the queue, staging, the model, padding and the harness."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from tfperf.analysis.recorded import Recorded


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeBreakdown:
    """Means over a run.

    Attributes:
        latency_ns: latency of a query.
        queue_ns: the part of it before the model began with the query.
        rest_ns: the part of it after that: computing and answering.
        staging_ns: staging of an execution.
        compute_ns: the model's time for an execution.
        busy: share of the time from the first start to the last end in which an instance of the model computed, 0 to 1.
    """

    latency_ns: float
    queue_ns: float
    rest_ns: float
    staging_ns: float
    compute_ns: float
    busy: float


def breakdown(recorded: Recorded, *, instances: int = 1) -> TimeBreakdown | None:
    """The means over a run; None if it has no query or no execution.

    Args:
        recorded: what the SUT recorded.
        instances: how many instances of the model ran at the same time.
    """
    if not len(recorded.latency_ns) or not len(recorded.compute_ns):
        return None
    latency_ns, queue_ns = float(recorded.latency_ns.mean()), float(recorded.queue_ns.mean())
    span_ns = int(recorded.ended_ns.max() - recorded.started_ns.min())
    return TimeBreakdown(
        latency_ns=latency_ns,
        queue_ns=queue_ns,
        rest_ns=latency_ns - queue_ns,
        staging_ns=float(recorded.staging_ns.mean()),
        compute_ns=float(recorded.compute_ns.mean()),
        busy=min(1.0, recorded.execution_every * int(recorded.compute_ns.sum()) / (instances * span_ns))
        if span_ns
        else 0.0,
    )


def executed_sizes(recorded: Recorded) -> dict[str, int]:
    """Executed size -> executions, ascending: a batch size such as `8`, with the length of its samples as `8x384`."""
    counts = collections.Counter(zip(recorded.batch_size.tolist(), recorded.length.tolist(), strict=True))
    if len(recorded.executed):
        counts = collections.Counter({(batch, length): count for batch, length, count in recorded.executed.tolist()})
    return {f"{batch}x{length}" if length else str(batch): counts[batch, length] for batch, length in sorted(counts)}


def padding(recorded: Recorded) -> float:
    """The share of what was executed that was padding, 0 to 1; 0 where nothing was executed.

    Samples that fill up a batch count, and so does what fills up samples to the executed length.
    """
    has_length = recorded.length > 0
    executed = int((recorded.batch_size * recorded.length.clip(min=1)).sum())
    real = int(np.where(has_length, recorded.samples_length, recorded.samples).sum())
    return 1 - real / executed if executed else 0.0


def harness_ns(recorded: Recorded, *, loadgen_mean_ns: float) -> float | None:
    """LoadGen's mean latency less the model's time for a query, in scenarios where no query waits for another.

    These are SingleStream and MultiStream. In the others the latency includes the queue and this says nothing.

    Args:
        recorded: what the SUT recorded, completely, since LoadGen's mean covers all queries.
        loadgen_mean_ns: mean latency of the queries: in MultiStream `result_mean_query_latency_ns` of the detail log,
            otherwise `result_mean_latency_ns`.

    Returns:
        None if nothing was answered.
    """
    queries = len(recorded.latency_ns)
    return loadgen_mean_ns - int(recorded.compute_ns.sum()) / queries if queries else None


def scheduling_lag_ns(recorded: Recorded, *, loadgen_mean_ns: float) -> float | None:
    """LoadGen's mean latency less the SUT's own: the time before the SUT sees a query and after it answered.

    In Server, LoadGen's clock starts when a query is due. A late callback, such as behind a thread that holds the
    interpreter, appears here and not in the SUT's own latencies.

    Args:
        recorded: what the SUT recorded, completely, since LoadGen's mean covers all queries.
        loadgen_mean_ns: as in `harness_ns`.

    Returns:
        None if nothing was answered.
    """
    return loadgen_mean_ns - float(recorded.latency_ns.mean()) if len(recorded.latency_ns) else None
