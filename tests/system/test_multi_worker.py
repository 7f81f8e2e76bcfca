"""Which worker a TensorFlow error is about."""

import contextlib
import threading

import pytest

from tests.system.test_assembly import assembled, cluster_of, of_each
from tfperf.system import assembly, multi_worker
from tfperf.system.cluster import Cluster

# The texts of TensorFlow 2.21.
KILLED = (
    "Collective ops is aborted by: recvmsg:Connection reset by peer\n"
    "Additional GRPC error information from remote target /job:worker/replica:0/task:1 while calling RecvBuf:"
)
SEEN_THROUGH_ANOTHER = (
    "Collective ops is aborted by: Collective ops is aborted by: Socket closed\n"
    "Additional GRPC error information from remote target /job:worker/replica:0/task:2 while calling RecvBuf:\n"
    "Additional GRPC error information from remote target /job:worker/replica:0/task:1 while calling RecvBuf:"
)
STOPPED = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are unhealthy (stopped "
    "sending heartbeats):\n/job:worker/replica:0/task:1"
)
UNANSWERED = (
    "{{function_node __wrapped__CollectiveReduceV2_device_/job:worker/replica:0/task:1/device:CPU:0}} "
    "Collective ops is aborted by: Deadline Exceeded\n\nRPC: /tensorflow.CoordinationService/Heartbeat"
)
CHIEF = "Collective ops is aborted by: Error reported from /job:chief/task:0: interrupted"
OWN = "Corrupt JPEG data; at /job:worker/replica:0/task:1/device:CPU:0"


@pytest.mark.parametrize(
    ("text", "index", "has_chief_job", "lost"),
    [
        (KILLED, 0, False, 1),
        (SEEN_THROUGH_ANOTHER, 0, False, 2),
        (STOPPED, 0, False, 1),
        (KILLED, 0, True, 2),
        (CHIEF, 1, True, 0),
        (UNANSWERED, 1, False, 0),
        (UNANSWERED, 0, False, 1),
        (STOPPED, 1, False, None),
        (OWN, 0, False, None),
    ],
)
def test_an_error_names_the_worker_that_caused_it(text: str, index: int, has_chief_job: bool, lost: int | None) -> None:
    hosts = ("a:1", "b:2", "c:3")
    together = assembly.Assembly(Cluster(addresses=hosts, index=index, has_chief_job=has_chief_job), {})
    found = multi_worker.lost_worker(RuntimeError(text), together)
    name = None if lost is None else f"worker {lost} ({hosts[lost]}) was lost: "
    assert found is None if name is None else str(found).startswith(name)


def test_a_lost_worker_is_named_with_the_reason_that_it_gave() -> None:
    def work(cluster: Cluster) -> str:
        with assembled(cluster) as together:
            together.exchange(None)
            if cluster.index == 1:
                together.diagnosing()
                raise assembly.MissingWorkerError("val/7.JPEG is damaged")
            return str(multi_worker.lost_worker(RuntimeError(KILLED), together))

    clusters = cluster_of(2)
    assert of_each(clusters, work)[0] == f"{clusters[0].name(1)} ended: val/7.JPEG is damaged"


def test_a_worker_that_still_writes_its_files_has_told_the_others_why_it_ends() -> None:
    read = threading.Event()

    def work(cluster: Cluster) -> str | None:
        with assembled(cluster) as together:
            if cluster.index == 1:
                together.failed(assembly.MissingWorkerError("val/7.JPEG is damaged"))
                read.wait(20)
                return None
            found = str(multi_worker.lost_worker(RuntimeError(KILLED), together))
            read.set()
            return found

    clusters = cluster_of(2)
    assert of_each(clusters, work)[0] == f"{clusters[0].name(1)} ended: val/7.JPEG is damaged"


def test_an_interrupted_worker_interrupts_the_others() -> None:
    def work(cluster: Cluster) -> assembly.LostWorkerError | None:
        with contextlib.suppress(KeyboardInterrupt), assembled(cluster) as together:
            if cluster.index == 1:
                raise KeyboardInterrupt
            return multi_worker.lost_worker(RuntimeError(KILLED), together)
        return None

    found, _ = of_each(cluster_of(2), work)
    assert isinstance(found, assembly.InterruptedWorkerError)
    assert found.exit_code == 130
