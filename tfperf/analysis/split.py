"""Where the time of a run went: waiting in the queue, staging, computing."""

from __future__ import annotations

import dataclasses

from tfperf.analysis.recorded import Recorded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Means over the run.

    Attributes:
        latency_ns: of a query.
        queue_ns: of it, until the model began with it.
        rest_ns: of it, after that: computing and answering.
        staging_ns: of an execution.
        compute_ns: of an execution.
        busy: share of the time from the first start to the last end in which an instance of the model computed, 0 to 1.
    """

    latency_ns: float
    queue_ns: float
    rest_ns: float
    staging_ns: float
    compute_ns: float
    busy: float


def split(recorded: Recorded, *, instances: int = 1) -> Split | None:
    """The split of a run; None when it has no query or no execution.

    Args:
        recorded: what the SUT recorded.
        instances: of the model that ran at the same time.
    """
    if not len(recorded.latency_ns) or not len(recorded.compute_ns):
        return None
    latency_ns, queue_ns = float(recorded.latency_ns.mean()), float(recorded.queue_ns.mean())
    span_ns = int(recorded.ended_ns.max() - recorded.started_ns.min())
    return Split(
        latency_ns=latency_ns,
        queue_ns=queue_ns,
        rest_ns=latency_ns - queue_ns,
        staging_ns=float(recorded.staging_ns.mean()),
        compute_ns=float(recorded.compute_ns.mean()),
        busy=min(1.0, int(recorded.compute_ns.sum()) / (instances * span_ns)) if span_ns else 0.0,
    )
