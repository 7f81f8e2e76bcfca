"""Brings the workers of a run together, and keeps them in touch before and beside TensorFlow.

The workers meet at the address of worker 0 in TF_CONFIG, at which TensorFlow listens later. Each keeps a connection to
worker 0 until the end of the run.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tfperf.errors import TfperfError, UsageError
from tfperf.system.cluster import Cluster
from tfperf.system.link import Link, Message

WORKER_TIMEOUT_S = 600.0
_QUIET_S = 1.0
_REPEAT_S = 30.0
_POLL_S = 0.2
_LAST_WORDS_S = 3.0
_DIAGNOSIS_S = 120.0
_INTERRUPTED = "interrupted"
_LONGEST_HELLO = 1 << 20


class LostWorkerError(TfperfError):
    """Another worker has ended or can't be reached, so the run can't go on."""


class InterruptedWorkerError(LostWorkerError):
    """Another worker was interrupted, and with it the run."""

    exit_code = 130


class MissingWorkerError(TfperfError):
    """A worker did not come."""


class Assembly:
    """The workers of a run, once all are here.

    Args:
        cluster: who takes part.
        links: a connection to worker 0; at worker 0, one to each other worker.
    """

    def __init__(self, cluster: Cluster, links: Mapping[int, Link]) -> None:
        self.cluster = cluster
        self._links = links

    def exchange(self, value: Any) -> tuple[Any, ...]:
        """Sends this worker's value to all workers and waits for theirs; returns all in the order of the workers.

        Args:
            value: anything that JSON can hold.

        Raises:
            LostWorkerError: a worker has ended.
        """
        if self.cluster.workers == 1:
            return (value,)
        if not self.cluster.is_chief:
            self._links[0].send({"value": value})
            return tuple(self._next(0)["values"])
        values = [value, *(self._next(index)["value"] for index in sorted(self._links))]
        for link in self._links.values():
            link.send({"values": values})
        return tuple(values)

    def diagnosing(self) -> None:
        """Says that this worker has failed and is about to find out why, which may take long."""
        for link in self._links.values():
            link.send({"diagnosing": True})

    def failed(self, failure: BaseException) -> None:
        """Tells the other workers why this one ends."""
        for link in self._links.values():
            link.send({"failed": reason_of(failure)})

    def lost(self, index: int) -> LostWorkerError:
        """The error for a worker that TensorFlow has lost, with the reason if that worker gave one."""
        reason = None
        if index in self._links:
            with contextlib.suppress(TimeoutError):
                reason = self._reason(index)
        return self._gone(index, reason)

    def _next(self, index: int) -> Message:
        """The next message of a worker."""
        while (message := self._links[index].receive(None)) is not None:
            if "failed" in message:
                raise self._gone(index, str(message["failed"]))
            if "diagnosing" not in message:
                return message
        raise self._gone(index, None)

    def _reason(self, index: int) -> str | None:
        """Why a worker failed, as it says in its last message."""
        limit_s = _LAST_WORDS_S
        while (message := self._links[index].receive(limit_s)) is not None:
            if "failed" in message:
                return str(message["failed"])
            limit_s = _DIAGNOSIS_S if "diagnosing" in message else limit_s
        return None

    def _gone(self, index: int, reason: str | None) -> LostWorkerError:
        name = self.cluster.name(index)
        if reason is None:
            return LostWorkerError(f"{name} was lost: it was killed, hangs or can't be reached. See its own output.")
        return _ended(self.cluster, index, reason)


@contextlib.contextmanager
def assembled(
    cluster: Cluster,
    *,
    timeout_s: float = WORKER_TIMEOUT_S,
    report: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Iterator[Assembly]:
    """Waits for all workers, and tells the others how this one ended.

    Args:
        cluster: who takes part.
        timeout_s: seconds to wait at most.
        report: receives a line that says who is missing, after a second, on changes and every half minute.

    Raises:
        UsageError: the port of this worker is in use.
        MissingWorkerError: a worker did not come in time.
        LostWorkerError: worker 0 has ended meanwhile.
    """
    links = {} if cluster.workers == 1 else _links(cluster, _Waiting(cluster, timeout_s, report))
    together = Assembly(cluster, links)
    try:
        yield together
    except BaseException as error:
        together.failed(error)
        raise
    finally:
        for link in links.values():
            link.close()


def _ended(cluster: Cluster, index: int, reason: str) -> LostWorkerError:
    kind = InterruptedWorkerError if reason == _INTERRUPTED else LostWorkerError
    return kind(f"{cluster.name(index)} ended: {reason}")


def reason_of(failure: BaseException) -> str:
    """Why a worker ended, for results and for the other workers."""
    if isinstance(failure, KeyboardInterrupt):
        return _INTERRUPTED
    return str(failure) if isinstance(failure, TfperfError) else f"{type(failure).__name__}: {failure}"


def _links(cluster: Cluster, waiting: _Waiting) -> dict[int, Link]:
    with _listener(cluster) as listener:
        if cluster.is_chief:
            links = _received(cluster, listener, waiting)
    if not cluster.is_chief:
        return {0: _joined(cluster, waiting)}
    for link in links.values():  # the port is free again, and TensorFlow takes it
        link.send({"all": "here"})
    return links


class _Waiting:
    """How long this worker waits, and what it says meanwhile."""

    def __init__(self, cluster: Cluster, timeout_s: float, report: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._timeout_s = timeout_s
        self._report = report
        self._began = time.monotonic()
        self._said: tuple[str, float] = ("", -_REPEAT_S)

    def missing(self, absent: list[int]) -> str:
        """Says who is missing, unless it was just said."""
        here = self._cluster.workers - len(absent)
        names = ", ".join(self._cluster.addresses[index] for index in absent)
        line = f"waiting for workers: {here} of {self._cluster.workers} here (missing {names})"
        return self.say(line)

    def say(self, line: str) -> str:
        """Reports a line, unless it was just reported."""
        now = time.monotonic() - self._began
        said, at = self._said
        if now >= _QUIET_S and (line != said or now - at >= _REPEAT_S):
            self._report(line)
            self._said = (line, now)
        return line

    def check(self, absent: list[int], *, because: str = "") -> None:
        """Ends the wait if it took too long."""
        if time.monotonic() - self._began < self._timeout_s:
            return
        names = ", ".join(self._cluster.name(index) for index in absent)
        raise MissingWorkerError(
            f"missing after {self._timeout_s:g} s: {names}{because}. Start the same command on every host of "
            "TF_CONFIG, or wait longer with --worker_timeout_s."
        )


@contextlib.contextmanager
def _listener(cluster: Cluster) -> Iterator[socket.socket]:
    """The port of this worker, on all of this machine's addresses, as TensorFlow takes it later."""
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            ("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
        )
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"can't be opened ({error.strerror})"
        raise UsageError(
            f"Port {port} {why} on this machine, and TF_CONFIG gives it to {cluster.name(cluster.index)}. End the "
            "program that uses it, or name another port in the TF_CONFIG of all workers."
        ) from error
    with listener:
        listener.setblocking(False)
        yield listener


def _received(cluster: Cluster, listener: socket.socket, waiting: _Waiting) -> dict[int, Link]:
    """Worker 0's connection to each other worker. A worker that went away meanwhile may come again."""
    links: dict[int, Link] = {}
    strangers: list[Link] = []
    told = ""
    try:
        while True:
            absent = [index for index in range(1, cluster.workers) if index not in links]
            if not absent:
                return links
            line = waiting.missing(absent)
            if line != told:
                told = line
                for link in links.values():
                    link.send({"waiting": line})
            waiting.check(absent)
            connections: list[Any] = [listener, *strangers, *links.values()]
            ready = select.select(connections, [], [], _POLL_S)[0]
            for index, link in list(links.items()):
                if link in ready:  # nobody speaks before all are here
                    links.pop(index).close()
            for link in [link for link in strangers if link in ready]:
                strangers.remove(link)
                _admit(cluster, link, links)
            if listener in ready:
                with contextlib.suppress(OSError):
                    strangers.append(Link(listener.accept()[0]))
    except BaseException as error:
        for link in links.values():
            link.send({"failed": reason_of(error)})
            link.close()
        raise
    finally:
        for link in strangers:
            link.close()


def _admit(cluster: Cluster, link: Link, links: dict[int, Link]) -> None:
    """Takes a worker in, or closes the connection of whoever else called."""
    try:
        hello = link.receive(_POLL_S, longest=_LONGEST_HELLO)
    except TimeoutError:
        hello = None
    index = hello.get("worker") if hello else None
    if hello is None or not isinstance(index, int):
        link.close()
        return
    refusal = None
    if hello.get("addresses") != list(cluster.addresses):
        refusal = f"its TF_CONFIG names the workers {', '.join(cluster.addresses)}, yours {hello.get('addresses')}"
    elif index in links or not 0 < index < cluster.workers:
        refusal = f"worker {index} is already here, and TF_CONFIG gives this process the same index"
    if refusal is None:
        links[index] = link
    else:
        link.send({"refused": refusal})
        link.close()


def _joined(cluster: Cluster, waiting: _Waiting) -> Link:
    """The connection to worker 0, once worker 0 says that all are here."""
    while True:
        link = _connected(cluster, waiting)
        try:
            if _admitted(cluster, link, waiting):
                return link
        except BaseException:
            link.close()
            raise
        link.close()  # worker 0 was restarted, or something else listens at its port
        time.sleep(_POLL_S)


def _admitted(cluster: Cluster, link: Link, waiting: _Waiting) -> bool:
    """Waits until worker 0 says that all are here; False if the connection is closed before."""
    link.send({"worker": cluster.index, "addresses": cluster.addresses})
    missing: str | None = None
    while True:
        try:
            message = link.receive(_POLL_S)
        except TimeoutError:
            if missing is None:
                waiting.check([0], because=", where another program answers")
            else:  # worker 0 decides how long all wait
                waiting.say(missing)
            continue
        if message is None or "all" in message:
            return message is not None
        missing = str(message["waiting"]) if "waiting" in message else missing
        if "refused" in message:
            raise UsageError(f"{cluster.name(0)} refuses this worker: {message['refused']}.")
        if "failed" in message:
            raise _ended(cluster, 0, str(message["failed"]))


def _connected(cluster: Cluster, waiting: _Waiting) -> Link:
    host, _, port = cluster.addresses[0].rpartition(":")
    failure = ""
    while True:
        try:
            return Link(socket.create_connection((host.strip("[]"), int(port)), timeout=1))
        except OSError as error:
            failure = f" ({error.strerror or error})"
        waiting.say(f"waiting for {cluster.name(0)}")
        waiting.check([0], because=failure)
        time.sleep(_POLL_S)
