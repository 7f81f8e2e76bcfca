"""Offline: all samples at once, in batches of the most efficient size. The next is collated while others compute."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Iterator, Mapping

import numpy as np

from tfperf.inference.batching import most_efficient
from tfperf.inference.executable import Bucket
from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.batch_runner import BatchRunner, Buffer, Staged, chunks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Issued:
    ids: list[int]
    indices: list[int]
    issued_ns: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Ready:
    ids: list[int]
    staged: Staged
    issued_ns: int
    buffer: Buffer


class OfflineSut:
    """The SUT for Offline: one thread collates and stages batches; one thread per instance runs and answers them.

    Samples of one length run together, the longest first. Each length runs at its most efficient batch size; the
    remaining samples of a length run in the smallest batch that holds them. MLPerf's rules allow sorting the samples
    of a query and choosing among batch sizes: inference_rules.adoc of mlcommons/inference_policies, "Model
    Equivalence".

    Args:
        runner: runs the batches.
        answers: completes and records the queries.
        execution_ns: time of one execution by bucket.
    """

    def __init__(self, runner: BatchRunner, answers: Answers, *, execution_ns: Mapping[Bucket, float]) -> None:
        self._runner, self._answers = runner, answers
        best = most_efficient(execution_ns)
        self._sizes = [best[length].batch for length in runner.library.lengths]
        self._samples = 0
        self._issued: queue.SimpleQueue[_Issued | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[_Ready | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[Buffer] = queue.SimpleQueue()
        for _ in range(runner.instances + 1):
            self._free.put(runner.buffer())
        self._threads = [
            threading.Thread(target=self._stage_all, name="offline-staging", daemon=True),
            *(
                threading.Thread(target=self._compute_all, args=(instance,), name="offline-compute", daemon=True)
                for instance in range(runner.instances)
            ),
        ]
        for thread in self._threads:
            thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Queues the samples and returns."""
        issued_ns = time.perf_counter_ns()
        self._samples += len(ids)
        self._answers.recording.head[Recording.issued_word] = self._samples
        self._issued.put(_Issued(ids=ids, indices=indices, issued_ns=issued_ns))

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """Ends the threads when everything issued is answered."""
        self._issued.put(None)
        for thread in self._threads:
            thread.join()

    def _stage_all(self) -> None:
        while (issued := self._issued.get()) is not None:
            staged = 0
            try:
                issued = self._longest_first(issued)
                rows = self._runner.library.rows_of(issued.indices)
                for chunk, length_index in self._chunks(issued):
                    if self._answers.failed:
                        break
                    self._ready.put(self._stage(issued, rows, chunk, length_index))
                    staged = chunk.stop
                self._answers.give_nothing(issued.ids[staged:])
            except BaseException as error:  # if this thread ended, LoadGen would wait forever
                self._answers.give_up(error, issued.ids[staged:])
        for _ in range(self._runner.instances):
            self._ready.put(None)

    def _longest_first(self, issued: _Issued) -> _Issued:
        if len(self._sizes) == 1:
            return issued
        order = np.argsort(-self._runner.library.length_indices[np.asarray(issued.indices)], kind="stable").tolist()
        return dataclasses.replace(
            issued,
            ids=[issued.ids[position] for position in order],
            indices=[issued.indices[position] for position in order],
        )

    def _chunks(self, issued: _Issued) -> Iterator[tuple[slice, int]]:
        """Consecutive batches, each of one length, with the index of that length."""
        if len(self._sizes) == 1:
            yield from ((chunk, 0) for chunk in chunks(issued.ids, self._sizes[0]))
            return
        length_indices = self._runner.library.length_indices[np.asarray(issued.indices)]
        starts = [0, *(np.flatnonzero(np.diff(length_indices)) + 1).tolist()]
        for start, stop in zip(starts, [*starts[1:], len(issued.ids)], strict=True):
            length_index = int(length_indices[start])
            for chunk in chunks(issued.ids[start:stop], self._sizes[length_index]):
                yield slice(start + chunk.start, start + chunk.stop), length_index

    def _stage(self, issued: _Issued, rows: np.ndarray, chunk: slice, length_index: int) -> _Ready:
        buffer = self._free.get()
        try:
            staged = self._runner.stage(
                issued.indices[chunk],
                rows[chunk],
                bucket=self._runner.bucket_for(chunk.stop - chunk.start, length_index=length_index),
                length_index=length_index,
                buffer=buffer,
            )
        except BaseException:
            self._free.put(buffer)
            raise
        return _Ready(ids=issued.ids[chunk], staged=staged, issued_ns=issued.issued_ns, buffer=buffer)

    def _compute_all(self, instance: int) -> None:
        while (ready := self._ready.get()) is not None:
            try:
                self._compute(ready, instance)
            except BaseException as error:  # likewise
                self._answers.give_up(error, ready.ids)
            finally:
                self._free.put(ready.buffer)

    def _compute(self, ready: _Ready, instance: int) -> None:
        if self._answers.failed:
            self._answers.give_nothing(ready.ids)
            return
        responses, started_ns = self._runner.compute(ready.staged, instance=instance)
        issued_ns = np.full(len(ready.ids), ready.issued_ns)
        self._answers.give(ready.ids, responses, issued_ns=issued_ns, started_ns=started_ns)
