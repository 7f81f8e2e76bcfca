"""Answers to LoadGen: completes and records queries, with empty responses after a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from tfperf.benchmarks.benchmark import Ragged
from tfperf.inference.recording import Recording


class Answers:
    """Completes queries and records them. Any thread may answer or report a failure.

    Attributes:
        failed: whether there was a failure. From then on, a SUT answers everything with `give_nothing`.
        complete: gives responses to LoadGen without recording anything.
        recording: gets a row for each query.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        complete: Callable[[Sequence[int], np.ndarray | Ragged | None], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.failed = False
        self.complete = complete
        self.recording = recording
        self._fail = fail
        self._first, self._recorded = threading.Lock(), threading.Lock()
        self._columns = tuple(np.asarray(column) for column in recording.queries)
        self._completed = self._samples = 0

    def give(
        self, ids: Sequence[int], responses: np.ndarray | Ragged, *, issued_ns: np.ndarray, started_ns: int
    ) -> None:
        """Answers one query for each id, and records when it was issued and when its execution started.

        If this raises, the ids are unanswered. A failure to record them afterwards is reported and not raised.
        """
        self.complete(ids, responses)
        try:
            self._record(len(ids), issued_ns=issued_ns, started_ns=started_ns)
        except BaseException as error:
            self.give_up(error, ())

    def give_query(self, samples: int, *, issued_ns: int, started_ns: int) -> None:
        """Records one query whose samples were all answered just now. Only one thread at a time may call this."""
        ended_ns = time.perf_counter_ns()
        row = self._completed % self.recording.capacity
        issued, latency, queue = self.recording.queries
        issued[row], latency[row], queue[row] = issued_ns, ended_ns - issued_ns, started_ns - issued_ns
        self._count(queries=1, samples=samples)

    def give_up(self, error: BaseException, ids: Sequence[int]) -> None:
        """Reports the failure if it is the first, then gives the ids empty responses."""
        if self._first.acquire(blocking=False):
            self.failed = True
            self._fail(error)
        self.give_nothing(ids)

    def give_nothing(self, ids: Sequence[int]) -> None:
        """Gives the ids empty responses. Call this only after a failure."""
        if len(ids):
            self.complete(ids, None)

    def _record(self, queries: int, *, issued_ns: np.ndarray, started_ns: int) -> None:
        latency_ns = time.perf_counter_ns() - issued_ns
        with self._recorded:
            start, capacity = self._completed % self.recording.capacity, self.recording.capacity
            end = start + queries
            for column, values in zip(self._columns, (issued_ns, latency_ns, started_ns - issued_ns), strict=True):
                if end <= capacity:
                    column[start:end] = values
                else:  # the end of the recording lies between them
                    column[np.arange(start, end) % capacity] = values
            self._count(queries=queries, samples=queries)

    def _count(self, *, queries: int, samples: int) -> None:
        self._completed += queries
        self._samples += samples
        self.recording.head[Recording.samples_word] = self._samples
        self.recording.head[Recording.completed_word] = self._completed  # last, because readers rely on it
