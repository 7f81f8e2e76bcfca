"""Server: the callback only queues samples; a thread for each instance picks the best batch of those that wait."""

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

from tfperf.inference.batching import Policy, Waiting
from tfperf.inference.executable import Bucket
from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.batch_runner import BatchRunner, Buffer

_COMPACT_AT = 4096


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _ChosenBatch:
    """Samples that run together, none longer than the bucket."""

    bucket: Bucket
    length_index: int
    ids: list[int]
    indices: list[int]
    issued_ns: list[int]


class _WaitingList(Sequence[int]):
    """Samples that wait, oldest first. As a sequence, it holds the time at which each was issued.

    Removing the oldest samples takes the same time however many wait; otherwise a long queue would slow itself down.
    """

    def __init__(self) -> None:
        self._columns: tuple[list[int], list[int], list[int]] = ([], [], [])  # ids, indices, issued_ns
        self._gone = 0  # removed samples that are still at the head of each column

    def __len__(self) -> int:
        return len(self._columns[0]) - self._gone

    @overload
    def __getitem__(self, position: int) -> int: ...

    @overload
    def __getitem__(self, position: slice) -> list[int]: ...

    def __getitem__(self, position: int | slice) -> int | list[int]:
        if isinstance(position, slice):
            return self._columns[2][self._within(position)]
        return self._columns[2][self._gone + position]

    def add(self, ids: list[int], indices: list[int], issued_ns: int) -> None:
        for column, values in zip(self._columns, (ids, indices, [issued_ns] * len(ids)), strict=True):
            column += values

    def samples(self, position: slice) -> tuple[list[int], list[int], list[int]]:
        """The ids, numbers and issue times of the samples from `position.start` to `position.stop`."""
        ids, indices, issued_ns = (column[self._within(position)] for column in self._columns)
        return ids, indices, issued_ns

    def move(self, count: int, to: _WaitingList) -> None:
        """Appends the first `count` samples to `to`."""
        for column, values in zip(to._columns, self.samples(slice(0, count)), strict=True):
            column += values
        self.remove(slice(0, count))

    def remove(self, position: slice) -> None:
        if position.start:
            for column in self._columns:
                del column[self._within(position)]
            return
        self._gone += position.stop
        if self._gone >= _COMPACT_AT and self._gone >= len(self):
            for column in self._columns:
                del column[: self._gone]
            self._gone = 0

    def _within(self, position: slice) -> slice:
        return slice(self._gone + position.start, self._gone + position.stop)


class ServerSut:
    """The SUT for Server.

    Args:
        runner: runs the batches.
        answers: completes and records the queries.
        execution_ns: time of one execution by bucket.
        bound_ns: the latency bound; None chooses batches for the highest throughput.
    """

    def __init__(
        self, runner: BatchRunner, answers: Answers, *, execution_ns: Mapping[Bucket, float], bound_ns: int | None
    ) -> None:
        self._runner, self._answers = runner, answers
        self._policy = Policy(execution_ns, bound_ns=math.inf if bound_ns is None else bound_ns)
        self._samples = 0
        self._queue: queue.SimpleQueue[tuple[list[int], list[int], int] | None] = queue.SimpleQueue()
        self._choosing = threading.Lock()  # guards the waiting samples; its holder may block until more arrive
        self._on_time = [_WaitingList() for _ in self._policy.lengths]
        self._late = [_WaitingList() for _ in self._policy.lengths]
        self._waiting = [Waiting(*both) for both in zip(self._on_time, self._late, strict=True)]
        self._closing = False
        self._threads = [
            threading.Thread(target=self._serve, args=(instance, runner.buffer()), name="server", daemon=True)
            for instance in range(runner.instances)
        ]
        for thread in self._threads:
            thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Queues the samples and returns."""
        self._queue.put((ids, indices, time.perf_counter_ns()))
        self._samples += len(ids)
        self._answers.recording.head[Recording.issued_word] = self._samples

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """Ends the threads when everything issued is answered."""
        self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, instance: int, buffer: Buffer) -> None:
        over = False
        while not over:
            ids: list[int] = []
            try:
                with self._choosing:
                    batch = self._next()
                    over = self._closing and not self._any_waiting()
                if batch is not None:
                    ids = batch.ids
                    self._run(batch, instance, buffer)
            except BaseException as error:  # if this thread ended, LoadGen would wait forever
                self._answers.give_up(error, ids)

    def _next(self) -> _ChosenBatch | None:
        """The batch to run now; None if nothing waits, or after a failure."""
        self._take()
        if self._answers.failed:
            self._give_nothing()
        if not self._any_waiting():
            return None
        now_ns = time.perf_counter_ns()
        for length_index, (on_time, late) in enumerate(zip(self._on_time, self._late, strict=True)):
            if too_late := self._policy.late(on_time, now_ns=now_ns, length_index=length_index):
                on_time.move(too_late, to=late)
        chosen = self._policy.choose(self._waiting, now_ns=now_ns)
        parts = (
            (self._on_time[chosen.length_index], slice(chosen.first, chosen.first + chosen.count)),
            (self._late[chosen.length_index], slice(0, chosen.late)),
            *((self._on_time[index], slice(0, count)) for index, count in chosen.shorter),
        )
        taken = [waiting.samples(position) for waiting, position in parts]
        for waiting, position in parts:
            waiting.remove(position)
        ids, indices, issued_ns = (list(itertools.chain(*column)) for column in zip(*taken, strict=True))
        return _ChosenBatch(
            bucket=Bucket(chosen.size, self._policy.lengths[chosen.length_index]),
            length_index=chosen.length_index,
            ids=ids,
            indices=indices,
            issued_ns=issued_ns,
        )

    def _any_waiting(self) -> bool:
        return any(self._on_time) or any(self._late)

    def _take(self) -> None:
        """Takes the queued samples; blocks only if there is nothing else to do."""
        idle = not (self._any_waiting() or self._closing)
        for _ in range(max(self._queue.qsize(), int(idle))):
            entry = self._queue.get()
            if entry is None:
                self._closing = True
            else:
                self._add(*entry)

    def _add(self, ids: list[int], indices: list[int], issued_ns: int) -> None:
        if len(self._on_time) == 1:
            self._on_time[0].add(ids, indices, issued_ns)
            return
        for id_, index in zip(ids, indices, strict=True):
            self._on_time[self._runner.library.length_indices[index]].add([id_], [index], issued_ns)

    def _run(self, batch: _ChosenBatch, instance: int, buffer: Buffer) -> None:
        """Runs a batch and answers its samples. If this raises, they are unanswered."""
        rows = self._runner.library.rows_of(batch.indices)
        stage = self._runner.stage if len(self._on_time) == 1 else self._runner.stage_padded
        staged = stage(batch.indices, rows, bucket=batch.bucket, length_index=batch.length_index, buffer=buffer)
        responses, started_ns = self._runner.compute(staged, instance=instance)
        issued_ns = np.array(batch.issued_ns, np.int64)
        self._answers.give(batch.ids, responses, issued_ns=issued_ns, started_ns=started_ns)

    def _give_nothing(self) -> None:
        for waiting in (*self._on_time, *self._late):
            everything = slice(0, len(waiting))
            ids, _, _ = waiting.samples(everything)
            waiting.remove(everything)
            self._answers.give_nothing(ids)
