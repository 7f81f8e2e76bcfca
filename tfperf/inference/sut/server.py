"""Server: the callback only queues; one thread takes what waits into the best batch and answers it."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Mapping

import numpy as np

from tfperf.inference.batching import Batch, Policy
from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.model import Model


class _Waiting:
    """Samples that wait, oldest first: three lists of one length."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.indices: list[int] = []
        self.issued_ns: list[int] = []

    def add(self, ids: list[int], indices: list[int], issued_ns: int) -> None:
        self.ids += ids
        self.indices += indices
        self.issued_ns += [issued_ns] * len(ids)

    def move(self, count: int, to: _Waiting) -> None:
        """Appends the first `count` samples to `to`."""
        to.ids += self.ids[:count]
        to.indices += self.indices[:count]
        to.issued_ns += self.issued_ns[:count]
        self.remove(slice(0, count))

    def remove(self, place: slice) -> None:
        del self.ids[place], self.indices[place], self.issued_ns[place]


class Server:
    """The SUT of Server.

    Args:
        model: what runs.
        answers: where answers go.
        execution_ns: time of one execution by batch size.
        bound_ns: the latency bound; None batches for the most answers a second.
    """

    def __init__(
        self, model: Model, answers: Answers, *, execution_ns: Mapping[int, float], bound_ns: int | None
    ) -> None:
        self._model, self._answers = model, answers
        self._policy = Policy(execution_ns=execution_ns, bound_ns=math.inf if bound_ns is None else bound_ns)
        self._buffer = model.buffer()
        self._samples = 0
        self._queue: queue.SimpleQueue[tuple[list[int], list[int], int] | None] = queue.SimpleQueue()
        self._on_time, self._late = _Waiting(), _Waiting()
        self._closing = False
        self._thread = threading.Thread(target=self._dispatch_all, name="server-dispatch", daemon=True)
        self._thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Queues the samples and returns."""
        self._queue.put((ids, indices, time.perf_counter_ns()))
        self._samples += len(ids)
        self._answers.recording.head[Recording.issued_word] = self._samples

    def flush(self) -> None:
        """Nothing is held back that could be flushed."""

    def close(self) -> None:
        """Ends the thread when what was issued is answered."""
        self._queue.put(None)
        self._thread.join()

    def _dispatch_all(self) -> None:
        while not (self._closing and not self._on_time.ids and not self._late.ids):
            try:
                self._take()
                if self._answers.failed:
                    self._give_nothing()
                elif self._on_time.ids or self._late.ids:
                    self._dispatch()
            except BaseException as error:  # a thread that dies would leave LoadGen waiting for ever
                self._answers.give_up(error, ())
                self._give_nothing()

    def _take(self) -> None:
        """Takes what is queued; waits only when nothing else is to do."""
        idle = not (self._on_time.ids or self._late.ids or self._closing)
        for _ in range(max(self._queue.qsize(), int(idle))):
            entry = self._queue.get()
            if entry is None:
                self._closing = True
            else:
                self._on_time.add(*entry)

    def _dispatch(self) -> None:
        now_ns = time.perf_counter_ns()
        on_time, late = self._on_time, self._late
        on_time.move(self._policy.late(on_time.issued_ns, now_ns=now_ns), to=late)
        self._run(self._policy.choose(on_time.issued_ns, late.issued_ns, now_ns=now_ns))

    def _run(self, batch: Batch) -> None:
        places = ((self._on_time, slice(batch.first, batch.first + batch.count)), (self._late, slice(0, batch.late)))
        ids = [one for waiting, place in places for one in waiting.ids[place]]
        indices = [one for waiting, place in places for one in waiting.indices[place]]
        issued_ns = np.array([one for waiting, place in places for one in waiting.issued_ns[place]], np.int64)
        rows = self._model.library.rows_of(indices)
        responses, started_ns = self._model.compute(self._model.stage(rows, size=batch.size, buffer=self._buffer))
        for waiting, place in places:
            waiting.remove(place)
        try:
            self._answers.give(ids, responses, issued_ns=issued_ns, started_ns=started_ns)
        except BaseException as error:
            self._answers.give_up(error, ids)

    def _give_nothing(self) -> None:
        for waiting in (self._on_time, self._late):
            ids = waiting.ids[:]
            waiting.remove(slice(None))
            self._answers.give_nothing(ids)
