"""MultiStream: the samples of a query run within the callback, in one padded batch or in one for similar lengths."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from tfperf.inference.executable import Bucket
from tfperf.inference.length_groups import LengthGroups
from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.batch_runner import BatchRunner, Staged, chunks


class MultiStreamSut:
    """The SUT for MultiStream.

    Samples of different lengths are split into the batches that take the least time in all. Otherwise they run in one
    batch, and as several batches if there are more than the largest holds.

    Args:
        runner: runs the batches.
        answers: completes and records the queries.
        execution_ns: time of one execution by bucket.
    """

    def __init__(self, runner: BatchRunner, answers: Answers, *, execution_ns: Mapping[Bucket, float]) -> None:
        self._runner, self._answers = runner, answers
        self._groups = LengthGroups(execution_ns) if len(runner.library.lengths) > 1 else None
        self._largest = runner.batch_sizes[0][-1]
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
        unanswered = ids
        try:
            first_ns = 0
            for batch_ids, staged, rest in self._batches(ids, indices):
                responses, started_ns = self._runner.compute(staged)
                first_ns = first_ns or started_ns
                self._answers.complete(batch_ids, responses)
                unanswered = rest
            self._answers.give_query(len(ids), issued_ns=issued_ns, started_ns=first_ns)
        except BaseException as error:  # LoadGen crashes the process when a callback raises
            self._answers.give_up(error, unanswered)

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        """There is no thread to end."""

    def _batches(self, ids: list[int], indices: list[int]) -> Iterator[tuple[list[int], Staged, list[int]]]:
        """Each batch as the ids of its samples, the staged samples, and the ids of all samples that come after it."""
        if self._groups is None:
            for chunk in chunks(ids, self._largest):
                yield ids[chunk], self._staged(indices[chunk]), ids[chunk.stop :]
            return
        groups = self._groups.of(self._runner.library.length_indices[indices].tolist())
        order = [position for group in groups for position in group.positions]
        ordered, done = [ids[position] for position in order], 0
        for group in groups:
            chosen = [indices[position] for position in group.positions]
            staged = self._runner.stage_padded(
                chosen,
                self._runner.library.rows_of(chosen),
                bucket=group.bucket,
                length_index=group.length_index,
                buffer=self._buffer,
            )
            start, done = done, done + len(chosen)
            yield ordered[start:done], staged, ordered[done:]

    def _staged(self, indices: list[int]) -> Staged:
        """One batch of samples without a length."""
        bucket, rows = self._runner.bucket_for(len(indices)), self._runner.library.rows_of(indices)
        return self._runner.stage(indices, rows, bucket=bucket, length_index=0, buffer=self._buffer)
