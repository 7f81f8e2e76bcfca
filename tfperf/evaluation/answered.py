"""The stamps of answered requests, in bounded memory: threads that answer write them, the one that waits reads them."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable

import numpy as np

from tfperf.inference.archive import SLOWEST, SpacedRows

COLUMNS = ("due_ns", "issued_ns", "started_ns", "done_ns", "data_ns")

_BLOCK = 1 << 15  # rows that are written before they are read
_KEPT = 1 << 20  # rows, evenly spaced: 42 MB
_NS_PER_S = 1e9


class Answered:
    """Counts all requests; keeps evenly spaced rows of them and the highest latencies.

    A request adds one row, without allocating: its block is read by `read` once it is full.

    Attributes:
        failure: the first exception of a request, or of saving rows; None if there was none.
        not_finite: answers with NaN or an infinity.
        retraced_ns: when requests ended in which the model was traced or compiled. They are in no row.
    """

    def __init__(
        self,
        *,
        kept: int = _KEPT,
        slowest: int = SLOWEST,
        save: Callable[[np.ndarray], object] = lambda rows: None,
    ) -> None:
        """Nothing was answered yet.

        Args:
            kept: rows that are kept at most.
            slowest: highest latencies that are kept.
            save: gets all rows, [columns, n] at a time, in the thread that calls `read`.
        """
        self.failure: BaseException | None = None
        self.not_finite = 0
        self.retraced_ns: list[int] = []
        self._save = save
        self._lock = threading.Lock()
        self._block = _new_block()
        self._columns = _views(self._block)
        self._full: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        self._written = 0
        self._spaced = SpacedRows(len(COLUMNS), most=kept)
        self._most, self._high, self._highs, self._floor = slowest, [np.zeros(0, np.int64)], 0, -1
        self._sums = np.zeros(len(COLUMNS), object)  # whole numbers of any size
        self._first_ns, self._last_ns = 0, 0
        self.requests = 0

    def add(self, due_ns: int, issued_ns: int, started_ns: int, done_ns: int, data_ns: int) -> None:
        """Adds one request. Any thread may call it."""
        with self._lock:
            row = self._written
            due, issued, started, done, data = self._columns
            due[row], issued[row], started[row], done[row], data[row] = due_ns, issued_ns, started_ns, done_ns, data_ns
            self._written = row = row + 1
            if row == _BLOCK:
                self._next_block()

    def fail(self, error: BaseException) -> None:
        """Notes that a request failed."""
        with self._lock:
            self.failure = self.failure or error

    def add_retraced(self, done_ns: int) -> None:
        """Counts a request in which the model was traced or compiled."""
        with self._lock:
            self.retraced_ns.append(done_ns)

    def add_not_finite(self) -> None:
        """Counts an answer with NaN or an infinity."""
        with self._lock:
            self.not_finite += 1

    @property
    def counted(self) -> int:
        """Requests so far, read or not."""
        return self.requests + len(self.retraced_ns) + self._full.qsize() * _BLOCK + self._written

    def read(self, *, ended: bool = False) -> None:
        """Reads the full blocks; the last one as well if no request is added any more."""
        while not self._full.empty():
            block = self._full.get()
            self._take(block)
            self._free.put(block)
        if ended:
            with self._lock:
                rest, self._written = self._block[:, : self._written], 0
            self._take(rest)

    def rows(self) -> Rows:
        """What is kept, in order of the schedule. Call `read(ended=True)` before."""
        kept = {name: self._spaced.column(place) for place, name in enumerate(COLUMNS)}
        order = np.argsort(kept["due_ns"], kind="stable")
        slowest = np.sort(np.concatenate(self._high))[-self._most :]
        due, issued, started, done, data = (float(total) / max(1, self.requests) for total in self._sums)
        return Rows(
            **{name: column[order] for name, column in kept.items()},
            slowest_ns=slowest,
            retraced_ns=tuple(self.retraced_ns),
            requests=self.requests,
            every=self._spaced.every,
            span_s=(self._last_ns - self._first_ns) / _NS_PER_S,
            mean_latency_ns=done - due,
            mean_queue_ns=started - issued,
            mean_service_ns=done - started,
            mean_data_ns=data,
        )

    def _next_block(self) -> None:
        self._full.put(self._block)
        self._block = _new_block() if self._free.empty() else self._free.get()
        self._columns, self._written = _views(self._block), 0

    def _saved(self, rows: np.ndarray) -> None:
        try:
            self._save(rows)
        except OSError as error:  # such as a full disk; what is in memory is still counted
            self._save = lambda rows: None
            self.fail(error)

    def _take(self, rows: np.ndarray) -> None:
        if not rows.shape[1]:
            return
        first, last = int(rows[0].min()), int(rows[3].max())
        self._first_ns = first if not self.requests else min(self._first_ns, first)
        self._last_ns = max(self._last_ns, last)
        self.requests += rows.shape[1]
        self._saved(rows)
        self._sums += rows.sum(axis=1).astype(object)
        self._spaced.take(rows)
        latencies = rows[3] - rows[0]
        high = latencies[latencies > self._floor]
        self._high.append(high)
        self._highs += len(high)
        if self._highs > 2 * self._most:
            highest = np.partition(np.concatenate(self._high), -self._most)[-self._most :]
            self._high, self._highs, self._floor = [highest], len(highest), int(highest.min())


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Requests by the time at which they were due, all stamps in nanoseconds of one clock.

    Attributes:
        due_ns: when the schedule wanted each sent, int64 [n]; in a stream when it was sent.
        issued_ns: when it was sent.
        started_ns: when an instance began with it.
        done_ns: when its answer was in the memory of the host.
        data_ns: the time to make its inputs, part of the time since `started_ns`; 0 if they were in memory.
        slowest_ns: the highest latencies of all requests, ascending.
        retraced_ns: when further requests ended, in which the model was traced or compiled.
        requests: how many there were, without those.
        every: the rows are those of every n-th request.
        span_s: from the first due time to the last answer.
        mean_latency_ns: of all requests.
        mean_queue_ns: of all requests, from `issued_ns` to `started_ns`.
        mean_service_ns: of all requests, from `started_ns` to `done_ns`.
        mean_data_ns: of all requests.
    """

    due_ns: np.ndarray
    issued_ns: np.ndarray
    started_ns: np.ndarray
    done_ns: np.ndarray
    data_ns: np.ndarray
    slowest_ns: np.ndarray
    retraced_ns: tuple[int, ...]
    requests: int
    every: int
    span_s: float
    mean_latency_ns: float
    mean_queue_ns: float
    mean_service_ns: float
    mean_data_ns: float

    @property
    def latency_ns(self) -> np.ndarray:
        """From the time at which a request was due to its answer."""
        return np.asarray(self.done_ns - self.due_ns)


def _new_block() -> np.ndarray:
    return np.zeros((len(COLUMNS), _BLOCK), np.int64)


def _views(block: np.ndarray) -> list[memoryview]:
    """Writing one number into a memoryview takes a third of the time that NumPy takes."""
    return [memoryview(column) for column in block]
