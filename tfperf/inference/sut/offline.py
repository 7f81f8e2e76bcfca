"""Offline: all samples at once, in batches of the most efficient size; the next is collated while others compute."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Mapping

import numpy as np

from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.model import Model, Staged, chunks


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
    buffer: np.ndarray


class Offline:
    """The SUT of Offline: one thread collates and stages, one for each instance computes and answers.

    Args:
        model: what runs.
        answers: where answers go.
        execution_ns: time of one execution by batch size; the one with the most samples a second is used, and for what
            is left at the end the smallest that holds it.
    """

    def __init__(self, model: Model, answers: Answers, *, execution_ns: Mapping[int, float]) -> None:
        self._model, self._answers = model, answers
        self._size = max(execution_ns, key=lambda size: size / execution_ns[size])
        self._samples = 0
        self._issued: queue.SimpleQueue[_Issued | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[_Ready | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        for _ in range(model.instances + 1):
            self._free.put(model.buffer())
        self._threads = [
            threading.Thread(target=self._stage_all, name="offline-staging", daemon=True),
            *(
                threading.Thread(target=self._compute_all, args=(instance,), name="offline-compute", daemon=True)
                for instance in range(model.instances)
            ),
        ]
        for thread in self._threads:
            thread.start()

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Hands the samples over and returns."""
        issued_ns = time.perf_counter_ns()
        self._samples += len(ids)
        self._answers.recording.head[Recording.issued_word] = self._samples
        self._issued.put(_Issued(ids=ids, indices=indices, issued_ns=issued_ns))

    def flush(self) -> None:
        """Nothing is held back that could be flushed."""

    def close(self) -> None:
        """Ends the threads when what was issued is answered."""
        self._issued.put(None)
        for thread in self._threads:
            thread.join()

    def _stage_all(self) -> None:
        while (issued := self._issued.get()) is not None:
            staged = 0
            try:
                rows = self._model.library.rows_of(issued.indices)
                for chunk in chunks(issued.ids, self._size):
                    if self._answers.failed:
                        break
                    self._ready.put(self._stage(issued, rows, chunk))
                    staged = chunk.stop
                self._answers.give_nothing(issued.ids[staged:])
            except BaseException as error:  # a thread that dies would leave LoadGen waiting for ever
                self._answers.give_up(error, issued.ids[staged:])
        for _ in range(self._model.instances):
            self._ready.put(None)

    def _stage(self, issued: _Issued, rows: np.ndarray, chunk: slice) -> _Ready:
        buffer = self._free.get()
        try:
            size = self._model.size_for(chunk.stop - chunk.start)
            staged = self._model.stage(rows[chunk], size=size, buffer=buffer)
        except BaseException:
            self._free.put(buffer)
            raise
        return _Ready(ids=issued.ids[chunk], staged=staged, issued_ns=issued.issued_ns, buffer=buffer)

    def _compute_all(self, instance: int) -> None:
        while (ready := self._ready.get()) is not None:
            try:
                self._compute(ready, instance)
            except BaseException as error:  # as above
                self._answers.give_up(error, ready.ids)
            finally:
                self._free.put(ready.buffer)

    def _compute(self, ready: _Ready, instance: int) -> None:
        if self._answers.failed:
            self._answers.give_nothing(ready.ids)
            return
        responses, started_ns = self._model.compute(ready.staged, instance=instance)
        issued_ns = np.full(len(ready.ids), ready.issued_ns)
        self._answers.give(ready.ids, responses, issued_ns=issued_ns, started_ns=started_ns)
