"""MultiStream: the samples of a query as one padded batch, run within the callback."""

from __future__ import annotations

import time

from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.model import Model, chunks


class MultiStream:
    """The SUT of MultiStream. A query of more samples than the largest batch size takes several batches."""

    def __init__(self, model: Model, answers: Answers) -> None:
        self._model, self._answers = model, answers
        self._buffer = model.buffer()
        self._issued = 0

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Runs the samples and answers them before it returns."""
        issued_ns = time.perf_counter_ns()
        self._issued += 1
        self._answers.recording.head[Recording.issued_word] = self._issued
        if self._answers.failed:
            self._answers.give_nothing(ids)
            return
        answered = 0
        try:
            rows = self._model.library.rows_of(indices)
            first_ns = 0
            for chunk in chunks(ids, self._model.largest):
                size = self._model.size_for(chunk.stop - chunk.start)
                staged = self._model.stage(rows[chunk], size=size, buffer=self._buffer)
                responses, started_ns = self._model.compute(staged)
                first_ns = first_ns or started_ns
                self._answers.complete(ids[chunk], responses)
                answered = chunk.stop
            self._answers.give_query(len(ids), issued_ns=issued_ns, started_ns=first_ns)
        except BaseException as error:  # LoadGen crashes the process when a callback raises
            self._answers.give_up(error, ids[answered:])

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """There is no thread to end."""
