"""The workers of a run come together, or each says who is missing."""

import concurrent.futures
import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tfperf.errors import TfperfError, UsageError
from tfperf.system import assembly, preflight
from tfperf.system.cluster import Cluster


def addresses(count: int) -> tuple[str, ...]:
    """Ports of this machine that are free now."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return tuple(f"127.0.0.1:{server.getsockname()[1]}" for server in opened)


def of_each(clusters: Sequence[Cluster], work: Callable[[Cluster], Any]) -> list[Any]:
    """What `work` returns or raises for each worker, all at the same time."""

    def caught(cluster: Cluster) -> Any:
        try:
            return work(cluster)
        except TfperfError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(len(clusters)) as pool:
        return list(pool.map(caught, clusters))


def cluster_of(count: int) -> list[Cluster]:
    hosts = addresses(count)
    return [Cluster(addresses=hosts, index=index) for index in range(count)]


def silent(line: str) -> None:
    """Drops what a worker says while it waits."""


@contextlib.contextmanager
def assembled(cluster: Cluster) -> Iterator[assembly.Assembly]:
    with assembly.assembled(cluster, timeout_s=20, report=silent) as together:
        yield together


def assemble(cluster: Cluster, *, timeout_s: float = 20, report: Callable[[str], None] = silent) -> None:
    with assembly.assembled(cluster, timeout_s=timeout_s, report=report):
        pass


def test_all_workers_get_the_values_of_all_in_their_order() -> None:
    def work(cluster: Cluster) -> tuple[Any, ...]:
        with assembled(cluster) as together:
            return together.exchange({"index": cluster.index}), together.exchange("x" * 200_000 + str(cluster.index))

    for numbers, texts in of_each(cluster_of(3), work):
        assert numbers == tuple({"index": index} for index in range(3))
        assert [text[-1] for text in texts] == ["0", "1", "2"]


def test_a_single_process_waits_for_nobody() -> None:
    with assembled(Cluster()) as together:
        assert together.exchange(5) == (5,)


def test_the_port_of_the_first_worker_is_free_once_all_are_here() -> None:
    clusters = cluster_of(2)

    def work(cluster: Cluster) -> None:
        with assembled(cluster) as together:
            if cluster.is_chief:
                socket.create_server(("", int(cluster.addresses[0].rpartition(":")[2]))).close()
            together.exchange(None)

    assert of_each(clusters, work) == [None, None]


def test_a_missing_worker_is_named_while_the_others_wait_and_when_they_give_up() -> None:
    clusters = cluster_of(3)
    said: dict[int, list[str]] = {0: [], 1: []}

    def work(cluster: Cluster) -> None:
        assemble(cluster, timeout_s=3, report=said[cluster.index].append)

    first, second = of_each(clusters[:2], work)
    missing = clusters[0].addresses[2]
    assert str(first) == (
        f"missing after 3 s: worker 2 ({missing}). Start the same command on every host of TF_CONFIG, or wait longer "
        "with --worker_timeout_s."
    )
    assert str(second) == f"worker 0 ({clusters[0].addresses[0]}) ended: {first}"
    for lines in said.values():
        assert lines[-1] == f"waiting for workers: 2 of 3 here (missing {missing})"


def test_a_worker_says_that_the_first_is_missing_and_why_it_gives_up() -> None:
    cluster = cluster_of(2)[1]
    said: list[str] = []
    with pytest.raises(
        assembly.MissingWorkerError, match=r"missing after 1\.5 s: worker 0 \(.*\) \(Connection refused"
    ):
        assemble(cluster, timeout_s=1.5, report=said.append)
    assert said == [f"waiting for worker 0 ({cluster.addresses[0]})"]


def test_a_port_in_use_is_refused_by_the_worker_that_has_it() -> None:
    cluster = cluster_of(2)[0]
    port = cluster.addresses[0].rpartition(":")[2]
    with socket.create_server(("127.0.0.1", int(port))), pytest.raises(UsageError) as refused:
        assemble(cluster)
    assert str(refused.value) == (
        f"Port {port} is in use on this machine, and TF_CONFIG gives it to worker 0 (127.0.0.1:{port}). End the "
        "program that uses it, or name another port in the TF_CONFIG of all workers."
    )


def test_another_program_at_the_port_of_the_first_worker_is_no_worker() -> None:
    hosts = addresses(2)
    with (
        socket.create_server(("127.0.0.1", int(hosts[0].rpartition(":")[2]))),
        pytest.raises(assembly.MissingWorkerError, match="where another program answers"),
    ):
        assemble(Cluster(addresses=hosts, index=1), timeout_s=1)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"worker": "1"}\n', b"\xff" * (2 << 20), b""])
def test_strangers_at_the_port_are_ignored(sent: bytes) -> None:
    clusters = cluster_of(2)

    def work(cluster: Cluster) -> tuple[Any, ...]:
        if not cluster.is_chief:
            _call(cluster.addresses[0], sent)
        with assembled(cluster) as together:
            return together.exchange(cluster.index)

    assert of_each(clusters, work) == [(0, 1), (0, 1)]


def _call(address: str, sent: bytes) -> None:
    """Connects as soon as the port is open, sends and hangs up."""
    host, _, port = address.rpartition(":")
    ends = time.monotonic() + 20
    while True:
        try:
            connection = socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            assert time.monotonic() < ends
            time.sleep(0.01)
            continue
        with connection, contextlib.suppress(OSError):
            connection.sendall(sent)
        return


def test_two_processes_with_one_index_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = cluster_of(3)
    listener = assembly._listener

    def on_two_machines(cluster: Cluster) -> contextlib.AbstractContextManager[Any]:
        """Here both would hold one port for a moment, and one might be refused for that."""
        return listener(cluster) if cluster.is_chief else contextlib.nullcontext()

    monkeypatch.setattr(assembly, "_listener", on_two_machines)
    failures = of_each([first, second, second], lambda cluster: assemble(cluster, timeout_s=2))
    assert sum("worker 1 is already here" in str(failure) for failure in failures) == 1


def test_other_addresses_are_refused() -> None:
    first, second = cluster_of(2)
    other = Cluster(addresses=(first.addresses[0], "10.0.0.9:1", second.addresses[1]), index=2)
    failures = of_each([first, other], lambda cluster: assemble(cluster, timeout_s=2))
    assert "refuses this worker: its TF_CONFIG names the workers" in str(failures[1])


def test_a_worker_that_ends_is_named_with_its_reason() -> None:
    def work(cluster: Cluster) -> None:
        with assembled(cluster) as together:
            if cluster.index == 1:
                raise UsageError("No data in /x.")
            together.exchange(None)

    clusters = cluster_of(2)
    first, _ = of_each(clusters, work)
    assert str(first) == f"worker 1 ({clusters[0].addresses[1]}) ended: No data in /x."


def test_a_worker_that_ends_without_a_word_is_lost() -> None:
    def work(cluster: Cluster) -> None:
        with assembled(cluster) as together:
            if cluster.index == 0:
                together.exchange(None)

    clusters = cluster_of(2)
    first, _ = of_each(clusters, work)
    address = clusters[0].addresses[1]
    assert str(first) == f"worker 1 ({address}) was lost: it was killed, hangs or can't be reached. See its own output."


def test_workers_that_differ_are_named_with_the_key_and_both_values() -> None:
    clusters = cluster_of(3)

    def work(cluster: Cluster) -> None:
        model = {"blocks": (2, 2), "width": 8} if cluster.index != 1 else {"blocks": (1,), "width": 8, "size": 3}
        facts = {"config": {"seed": 5 if cluster.index == 2 else None, "model": model}}
        with assembled(cluster) as together:
            preflight.agree(together, facts)

    failures = of_each(clusters, work)
    assert len({str(failure) for failure in failures}) == 1
    one, two = (clusters[0].name(index) for index in (1, 2))
    assert str(failures[0]).splitlines() == [
        "Not all workers run the same thing.",
        f"  config.model.blocks: worker 0 has (2, 2), {one} has (1,)",
        f"  config.model.size: worker 0 has nothing, {one} has 3",
        f"  config.seed: worker 0 has None, {two} has 5",
    ]


def test_workers_that_agree_go_on() -> None:
    def work(cluster: Cluster) -> None:
        with assembled(cluster) as together:
            preflight.agree(together, {"a": {}})

    assert of_each(cluster_of(2), work) == [None, None]


@contextlib.contextmanager
def _waiting() -> Iterator[subprocess.Popen[str]]:
    """A lone worker of two that waits in a process of its own, with tfperf's handler of SIGTERM."""
    program = (
        "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "from tfperf.system.assembly import assembled; from tfperf.system.cluster import Cluster\n"
        f"assembled(Cluster(addresses={addresses(2)!r}, index=0)).__enter__()"
    )
    command = [sys.executable, "-c", program]
    paths = {"PYTHONPATH": ":".join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=paths) as process:
        yield process
        process.kill()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(by: signal.Signals) -> None:
    with _waiting() as process:
        assert process.stderr is not None
        assert re.match(r"waiting for workers: 1 of 2 here \(missing 127\.0\.0\.1:\d+\)", process.stderr.readline())
        process.send_signal(by)
        assert process.wait(timeout=20) != 0
        assert "KeyboardInterrupt" in process.stderr.read()
