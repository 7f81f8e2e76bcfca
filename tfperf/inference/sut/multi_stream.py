"""MultiStream: the samples of a query run as one padded batch within the callback."""

from __future__ import annotations

import time

from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.batch_runner import BatchRunner, Staged, chunks


class MultiStreamSut:
    """The SUT for MultiStream.

    Samples of different lengths are padded to the longest in their batch. A query with more samples than the largest
    batch runs as several batches.
    """

    def __init__(self, runner: BatchRunner, answers: Answers) -> None:
        self._runner, self._answers = runner, answers
        self._one_length = len(runner.library.lengths) == 1
        self._largest = min(sizes[-1] for sizes in runner.batch_sizes)
        self._buffer = runner.buffer()
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
            first_ns = 0
            for chunk in chunks(ids, self._largest):
                responses, started_ns = self._runner.compute(self._staged(indices[chunk]))
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

    def _staged(self, indices: list[int]) -> Staged:
        rows = self._runner.library.rows_of(indices)
        if self._one_length:
            bucket = self._runner.bucket_for(len(indices))
            return self._runner.stage(indices, rows, bucket=bucket, length_index=0, buffer=self._buffer)
        return self._runner.stage_padded(indices, rows, buffer=self._buffer)
