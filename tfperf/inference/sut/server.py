"""Server: the callback only queues; each instance has a thread that takes what waits into the best batch."""

from __future__ import annotations

import dataclasses
import itertools
import math
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np

from tfperf.inference.batching import Policy
from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.model import Model

_COMPACT_AT = 4096


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Samples that run together, padded to `size`."""

    size: int
    ids: list[int]
    indices: list[int]
    issued_ns: list[int]


class _Waiting(Sequence[int]):
    """Samples that wait, oldest first; as a sequence, when each was issued.

    Taking the oldest costs the same however many wait, else a long queue would slow down the one who works it off.
    """

    def __init__(self) -> None:
        self._columns: tuple[list[int], list[int], list[int]] = ([], [], [])  # ids, indices, issued_ns
        self._gone = 0  # at the head of each column

    def __len__(self) -> int:
        return len(self._columns[0]) - self._gone

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> list[int]: ...

    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return self._columns[2][self._within(place)]
        return self._columns[2][self._gone + place]

    def add(self, ids: list[int], indices: list[int], issued_ns: int) -> None:
        for column, values in zip(self._columns, (ids, indices, [issued_ns] * len(ids)), strict=True):
            column += values

    def samples(self, place: slice) -> tuple[list[int], list[int], list[int]]:
        """The ids, the indices and the times of issue of the samples from `place.start` to `place.stop`."""
        ids, indices, issued_ns = (column[self._within(place)] for column in self._columns)
        return ids, indices, issued_ns

    def move(self, count: int, to: _Waiting) -> None:
        """Appends the first `count` samples to `to`."""
        for column, values in zip(to._columns, self.samples(slice(0, count)), strict=True):
            column += values
        self.remove(slice(0, count))

    def remove(self, place: slice) -> None:
        if place.start:
            for column in self._columns:
                del column[self._within(place)]
            return
        self._gone += place.stop
        if self._gone >= _COMPACT_AT and self._gone >= len(self):
            for column in self._columns:
                del column[: self._gone]
            self._gone = 0

    def _within(self, place: slice) -> slice:
        return slice(self._gone + place.start, self._gone + place.stop)


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
        self._samples = 0
        self._queue: queue.SimpleQueue[tuple[list[int], list[int], int] | None] = queue.SimpleQueue()
        self._choosing = threading.Lock()  # holds what waits together; whoever has it may wait for more
        self._on_time, self._late = _Waiting(), _Waiting()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._serve, args=(instance, model.buffer()), name="server", daemon=True)
            for instance in range(model.instances)
        ]
        for thread in self._threads:
            thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Queues the samples and returns."""
        self._queue.put((ids, indices, time.perf_counter_ns()))
        self._samples += len(ids)
        self._answers.recording.head[Recording.issued_word] = self._samples

    def flush(self) -> None:
        """Nothing is held back that could be flushed."""

    def close(self) -> None:
        """Ends the threads when what was issued is answered."""
        self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, instance: int, buffer: np.ndarray) -> None:
        over = False
        while not over:
            ids: list[int] = []
            try:
                with self._choosing:
                    batch = self._next()
                    over = self._closing and not self._on_time and not self._late
                if batch is not None:
                    ids = batch.ids
                    self._run(batch, instance, buffer)
            except BaseException as error:  # a thread that dies would leave LoadGen waiting for ever
                self._answers.give_up(error, ids)

    def _next(self) -> _Batch | None:
        """The batch to run now, out of what waits; None when nothing does, or nothing may run after a failure."""
        self._take()
        if self._answers.failed:
            self._give_nothing()
        if not self._on_time and not self._late:
            return None
        now_ns = time.perf_counter_ns()
        if late := self._policy.late(self._on_time, now_ns=now_ns):
            self._on_time.move(late, to=self._late)
        chosen = self._policy.choose(self._on_time, self._late, now_ns=now_ns)
        places = (
            (self._on_time, slice(chosen.first, chosen.first + chosen.count)),
            (self._late, slice(0, chosen.late)),
        )
        taken = [waiting.samples(place) for waiting, place in places]
        for waiting, place in places:
            waiting.remove(place)
        ids, indices, issued_ns = (list(itertools.chain(*column)) for column in zip(*taken, strict=True))
        return _Batch(size=chosen.size, ids=ids, indices=indices, issued_ns=issued_ns)

    def _take(self) -> None:
        """Takes what is queued; waits only when nothing else is to do."""
        idle = not (self._on_time or self._late or self._closing)
        for _ in range(max(self._queue.qsize(), int(idle))):
            entry = self._queue.get()
            if entry is None:
                self._closing = True
            else:
                self._on_time.add(*entry)

    def _run(self, batch: _Batch, instance: int, buffer: np.ndarray) -> None:
        """Runs and answers a batch; what this raises left its samples unanswered."""
        rows = self._model.library.rows_of(batch.indices)
        staged = self._model.stage(rows, size=batch.size, buffer=buffer)
        responses, started_ns = self._model.compute(staged, instance=instance)
        issued_ns = np.array(batch.issued_ns, np.int64)
        self._answers.give(batch.ids, responses, issued_ns=issued_ns, started_ns=started_ns)

    def _give_nothing(self) -> None:
        for waiting in (self._on_time, self._late):
            everything = slice(0, len(waiting))
            ids, _, _ = waiting.samples(everything)
            waiting.remove(everything)
            self._answers.give_nothing(ids)
