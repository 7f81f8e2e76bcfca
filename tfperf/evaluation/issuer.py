"""Sends requests: by a schedule, whether or not earlier ones are answered, or in streams that each wait for an answer.

Requests run in threads, and the caller's thread only waits. So Ctrl-C and a request that hangs are noticed at once.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np

from tfperf.evaluation.answered import Answered

Status: TypeAlias = Literal["ended", "failed", "hung", "interrupted"]

RETRACED = -1  # instead of a time: the request says nothing about the model
MOST_WAITING = 1 << 18  # requests in line: then the load is far beyond what the model answers
_LOOKS_S = 0.05  # between two looks of the waiting thread
_SPIN_S = 0.0002  # before a request is due the issuer stops to sleep, since a sleep may last a bit longer
_GRACE_S = 1.0  # for requests that run when a phase is ended early
_SWITCH_INTERVAL_S = 1e-4  # as in LoadGen's process: a thread that is due waits no longer for one that computes


class ModelInstance(Protocol):
    """One instance of the model, which answers one request at a time."""

    def answer(self, number: int) -> int:
        """Answers the request with this number.

        Returns:
            The nanoseconds that it took to make its inputs; RETRACED if the model was traced or compiled meanwhile.
        """

    def look(self, number: int) -> bool:
        """Looks at the last answer after its time was taken; returns whether it is finite."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Issued:
    """How a phase ended.

    Attributes:
        status: `failed` if a request raised, `hung` if one was not answered in time, `interrupted` by Ctrl-C.
        sent: requests that were sent.
        given_up: whether requests were left in line, since they would have taken too long.
    """

    status: Status
    sent: int
    given_up: bool = False


class _Running:
    """What the threads of a phase share."""

    def __init__(self, instances: Sequence[ModelInstance], answered: Answered) -> None:
        self.instances, self.answered = instances, answered
        self.over = threading.Event()
        self.sent = 0
        self.given_up = False
        self.give_up_at_s: float | None = None  # on the clock of `time.perf_counter`
        self.busy_since_ns = [0] * len(instances)  # 0 while idle

    def answer(self, place: int, number: int, due_ns: int, issued_ns: int) -> int:
        """Runs a request on an instance, and returns when it was done."""
        started_ns = time.perf_counter_ns()
        self.busy_since_ns[place] = started_ns
        try:
            data_ns = self.instances[place].answer(number)
        finally:
            self.busy_since_ns[place] = 0
        done_ns = time.perf_counter_ns()
        if data_ns == RETRACED:
            self.answered.add_retraced(done_ns)
        else:
            self.answered.add(due_ns, issued_ns, started_ns, done_ns, data_ns)
        if not self.instances[place].look(number):
            self.answered.add_not_finite()
        return done_ns

    def fail(self, error: BaseException) -> None:
        """Ends the phase because of an error."""
        self.answered.fail(error)
        self.over.set()

    def give_up(self) -> None:
        """Ends the phase although requests are in line."""
        self.given_up = True
        self.over.set()


def by_schedule(
    due_s: Iterable[np.ndarray],
    instances: Sequence[ModelInstance],
    answered: Answered,
    *,
    hang_after_s: float,
    drain_s: float,
    most_waiting: int | None = MOST_WAITING,
    on_look: Callable[[], None] = lambda: None,
) -> Issued:
    """Sends each request when it is due, to the next free instance; the others wait in line.

    Args:
        due_s: due times in seconds from the start, ascending, in parts.
        instances: each answers one request at a time.
        answered: gets the stamps.
        hang_after_s: how long a request may run.
        drain_s: how long requests may stay in line after the last one was sent.
        most_waiting: requests in line above which the load is given up; None for any number.
        on_look: called a few times a second.
    """
    running = _Running(instances, answered)
    line: queue.SimpleQueue[tuple[int, int, int] | None] = queue.SimpleQueue()

    def issue() -> None:
        number = 0
        start_ns = time.perf_counter_ns()
        for part in due_s:
            for due_ns in (start_ns + part * 1e9).astype(np.int64).tolist():
                issued_ns = _wait_until(due_ns, running.over)
                if running.over.is_set():
                    return
                line.put((number, due_ns, issued_ns))
                number += 1
                running.sent = number
            if most_waiting is not None and line.qsize() > most_waiting:
                running.give_up()
                return
        running.give_up_at_s = time.perf_counter() + max(drain_s, 0.0)

    def work(place: int) -> None:
        while (request := line.get()) is not None and not running.over.is_set():
            number, due_ns, issued_ns = request
            running.answer(place, number, due_ns, issued_ns)

    def issue_all() -> None:
        try:
            issue()
        except BaseException as error:
            running.fail(error)
        finally:
            for _ in instances:
                line.put(None)

    threads = [
        threading.Thread(target=issue_all, name="issuer", daemon=True),
        *(_worker(work, place, running) for place in range(len(instances))),
    ]
    status = _until_end(threads, running, hang_after_s=hang_after_s, on_look=on_look)
    while not line.empty():
        line.get()
    return Issued(status=status, sent=running.sent, given_up=running.given_up)


def in_streams(
    streams: int,
    instances: Sequence[ModelInstance],
    answered: Answered,
    *,
    duration_s: float,
    least: int = 1,
    until_streams: int | None = None,
    hang_after_s: float,
    on_look: Callable[[], None] = lambda: None,
) -> Issued:
    """Keeps streams going, each with one request at a time. A request without a free instance waits.

    Args:
        streams: how many.
        instances: each answers one request at a time.
        answered: gets the stamps; a request is due when its stream sends it.
        duration_s: when streams stop to send.
        least: requests that are sent at least.
        until_streams: how many streams there are at the end, to which their number changes evenly; None for as many.
        hang_after_s: how long a request may run.
        on_look: called a few times a second.
    """
    running = _Running(instances, answered)
    final = streams if until_streams is None else until_streams
    begin_ns = time.perf_counter_ns()
    lives = [_lifetime(index, streams, final, duration_s) for index in range(max(streams, final))]
    # A stream is a token: whoever answers its request puts it back into the line, with its next request. So requests
    # are answered in the order in which they were sent, and no thread only waits.
    line: collections.deque[tuple[int, int]] = collections.deque()
    later = collections.deque(
        sorted((begin_ns + int(first * 1e9), begin_ns + int(last * 1e9)) for first, last in lives)
    )
    lock = threading.Lock()
    numbers = itertools.count()

    def work(place: int) -> None:
        now_ns = time.perf_counter_ns()
        while not running.over.is_set():
            if later and later[0][0] <= now_ns:
                with lock:
                    while later and later[0][0] <= now_ns:
                        line.append(later.popleft())
            try:
                due_ns, end_ns = line.popleft()
            except IndexError:  # there are more instances than streams now
                if not later:
                    return
                running.over.wait(_LOOKS_S / 10)
                now_ns = time.perf_counter_ns()
                continue
            if now_ns >= end_ns and running.sent >= least:
                continue
            number = next(numbers)
            running.sent = number + 1
            now_ns = running.answer(place, number, due_ns, due_ns)
            line.append((now_ns, end_ns))

    threads = [_worker(work, place, running) for place in range(min(len(lives), len(instances)))]
    status = _until_end(threads, running, hang_after_s=hang_after_s, on_look=on_look)
    return Issued(status=status, sent=running.sent)


def _lifetime(index: int, streams: int, final: int, duration_s: float) -> tuple[float, float]:
    """When a stream begins and ends, for their number to change evenly from `streams` to `final`."""
    if index < min(streams, final):
        return 0.0, duration_s
    share = (index - min(streams, final) + 1) / (abs(final - streams) + 1)
    return (share * duration_s, duration_s) if final > streams else (0.0, (1 - share) * duration_s)


def _wait_until(due_ns: int, over: threading.Event) -> int:
    """Sleeps until a time, and returns the time."""
    while True:
        now_ns = time.perf_counter_ns()
        left_s = (due_ns - now_ns) / 1e9
        if left_s <= 0 or over.is_set():
            return now_ns
        if left_s > _SPIN_S:
            time.sleep(min(left_s - _SPIN_S, _LOOKS_S))
        else:
            time.sleep(0)  # lets others run


def _worker(target: Callable[[int], None], place: int, running: _Running) -> threading.Thread:
    def run() -> None:
        try:
            target(place)
        except BaseException as error:
            running.fail(error)

    return threading.Thread(target=run, name=f"worker {place}", daemon=True)


def _until_end(
    threads: Sequence[threading.Thread],
    running: _Running,
    *,
    hang_after_s: float,
    on_look: Callable[[], None],
) -> Status:
    """Runs the threads and waits; ends them early when one failed, hangs, or Ctrl-C is pressed."""
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            _join_any(threads)
            running.answered.read()
            on_look()
            if running.answered.failure is not None:
                _stop(threads, running)
                return "failed"
            if _hangs(running, hang_after_s):
                running.over.set()
                return "hung"
            if running.give_up_at_s is not None and time.perf_counter() > running.give_up_at_s:
                running.give_up()
            if running.given_up:
                _stop(threads, running)
                break
    except KeyboardInterrupt:
        _stop(threads, running)
        return "interrupted"
    finally:
        sys.setswitchinterval(interval_s)
        running.over.set()
    return "ended" if running.answered.failure is None else "failed"


def _join_any(threads: Sequence[threading.Thread]) -> None:
    """Waits for the end of one that runs, not longer than a look."""
    next(thread for thread in (*threads, threads[0]) if thread.is_alive() or thread is threads[0]).join(_LOOKS_S)


def _stop(threads: Sequence[threading.Thread], running: _Running) -> None:
    running.over.set()
    end = time.perf_counter() + _GRACE_S
    for thread in threads:
        thread.join(max(0.0, end - time.perf_counter()))


def _hangs(running: _Running, hang_after_s: float) -> bool:
    now_ns = time.perf_counter_ns()
    return any(since and now_ns - since > hang_after_s * 1e9 for since in running.busy_since_ns)
