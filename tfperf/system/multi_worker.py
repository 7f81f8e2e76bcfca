"""The strategy of a run on several hosts, and which of them was lost when TensorFlow fails."""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfperf.system import assembly
from tfperf.system.cluster import Cluster

if TYPE_CHECKING:
    import tensorflow as tf

_HEARTBEAT_TIMEOUT_MS = 6000  # TensorFlow's own took up to 10.8 s to notice a worker that is cut off
_TASK = re.compile(r"/job:(chief|worker)(?:/replica:\d+)?/task:(\d+)")
_TO_FIRST = "/tensorflow.CoordinationService/"  # a call to worker 0, where the service runs; its error names nobody
_BY_ANOTHER = ("Collective ops is aborted by", "stopped sending heartbeats", "coordination service")


def strategy(cluster: Cluster) -> tf.distribute.Strategy:
    """The strategy that trains on all workers, which must all be here; each calls this."""
    import tensorflow as tf

    _notice_lost_workers_soon(cluster)
    with _signal_handlers_kept():
        return tf.distribute.MultiWorkerMirroredStrategy()


def lost_worker(error: BaseException, together: assembly.Assembly) -> assembly.LostWorkerError | None:
    """The error that names the worker whose end caused a TensorFlow error; None if no other worker did."""
    cluster, text = together.cluster, str(error)
    if cluster.workers == 1 or not any(part in text for part in _BY_ANOTHER):
        return None
    # Their locals hold a thread pool, which prints a traceback if it outlives the interpreter.
    traceback.clear_frames(error.__traceback__)
    named = (_index(cluster, job, int(task)) for job, task in _TASK.findall(text))
    others = [index for index in named if index != cluster.index and index < cluster.workers]
    if not others and _TO_FIRST in text and not cluster.is_chief:
        others = [0]
    return together.lost(others[0]) if others else None


def abort(cluster: Cluster, reason: str) -> None:
    """Ends what the other workers compute together with this one, which has failed and may take long to exit."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    if cluster.workers == 1 or context.context().coordination_service is None:
        return
    with contextlib.suppress(tf.errors.FailedPreconditionError):  # the others know of an earlier error
        context.context().report_error_to_cluster(tf.errors.ABORTED, reason)


def _index(cluster: Cluster, job: str, task: int) -> int:
    return task + (1 if cluster.has_chief_job and job == "worker" else 0)


def _notice_lost_workers_soon(cluster: Cluster) -> None:
    """Configures TensorFlow's coordination service as the strategy would, with a shorter timeout."""
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.eager import context

    if context.context().coordination_service is not None:
        return
    tasks = {"chief": 1 if cluster.has_chief_job else 0}
    tasks["worker"] = cluster.workers - tasks["chief"]
    jobs = [coordination_config_pb2.CoordinatedJob(name=job, num_tasks=count) for job, count in tasks.items() if count]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{jobs[0].name}/replica:0/task:0",
        heartbeat_timeout_in_ms=_HEARTBEAT_TIMEOUT_MS,
        coordinated_jobs=jobs,
    )


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restores the handler of SIGTERM, which the strategy replaces by one that does nothing."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
