"""Runs one batch: collates and stages it, runs the model, makes the responses and records the execution.

To collate is to copy samples from the library into one padded batch; to stage is to bring a batch to where the
executable reads it, such as a GPU.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfperf.benchmarks.benchmark import Ragged
from tfperf.benchmarks.tensor import Batch
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.job import ServedModel
from tfperf.inference.library import SampleLibrary, batch_sizes_of
from tfperf.inference.recording import Recording


class Buffer:
    """Memory in which one batch of any bucket is collated. It is in use from `stage` until `compute` returns."""

    def __init__(self, executable: Executable) -> None:
        self._batches: dict[Bucket, Batch] = {bucket: () for bucket in executable.buckets}
        for tensor, dtype in zip(executable.inputs, executable.encoded, strict=True):
            shapes = {bucket: (bucket.batch, *tensor.at(bucket.length)) for bucket in executable.buckets}
            sizes = {bucket: int(np.prod(shape)) for bucket, shape in shapes.items()}
            memory = np.empty(max(sizes.values()), dtype)
            for bucket, shape in shapes.items():
                self._batches[bucket] += (memory[: sizes[bucket]].reshape(shape),)

    def batch(self, bucket: Bucket) -> Batch:
        """The memory as a batch of this bucket, contiguous."""
        return self._batches[bucket]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """A batch that is ready to run.

    Attributes:
        inputs: the inputs for `Executable.run`.
        indices: numbers of the real samples, which come before the padding.
        bucket: batch size, including padding, and length.
        staging_ns: how long collating and staging took.
    """

    inputs: Any
    indices: Sequence[int]
    bucket: Bucket
    staging_ns: int


class BatchRunner:
    """Runs batches for a SUT.

    Attributes:
        served: the executable, and the function that turns its outputs into responses.
        library: the samples in memory.
        recording: gets a row for each execution.
        batch_sizes: for each of the library's lengths, the batch sizes that the model is compiled for, ascending.
        instances: number of instances of the executable. `compute` may run in as many threads at the same time, each
            with its own instance.
    """

    def __init__(self, served: ServedModel, library: SampleLibrary, recording: Recording) -> None:
        self.served, self.library, self.recording = served, library, recording
        self.batch_sizes = tuple(batch_sizes_of(served.executable, length) for length in library.lengths)
        self.instances = len(served.instances)
        self._run = [instance.run for instance in served.instances]
        self._executions = 0
        self._recorded = threading.Lock()

    def buffer(self) -> Buffer:
        """New memory to collate batches in."""
        return Buffer(self.served.executable)

    def bucket_for(self, samples: int, *, length_index: int = 0) -> Bucket:
        """The bucket of this length with the smallest batch that holds the samples; the largest batch if none does."""
        sizes = self.batch_sizes[length_index]
        size = next((size for size in sizes if size >= samples), sizes[-1])
        return Bucket(size, self.library.lengths[length_index])

    def stage(
        self, indices: Sequence[int], rows: np.ndarray, *, bucket: Bucket, length_index: int, buffer: Buffer
    ) -> Staged:
        """Collates and stages samples of one length; copies of the first sample pad the batch.

        Args:
            indices: numbers of the samples, at most `bucket.batch`.
            rows: their rows in the library.
            bucket: a bucket of the samples' length.
            length_index: index of this length in the library.
            buffer: where the batch is collated.
        """
        start = time.perf_counter_ns()
        if len(indices) == bucket.batch == 1:
            batch = self.library.one(rows[0], length_index=length_index)
        else:
            batch = buffer.batch(bucket)
            self.library.collate(rows, batch, length_index=length_index)
            _pad(batch, len(indices))
        return self._staged(batch, indices, bucket, start)

    def stage_padded(
        self, indices: Sequence[int], rows: np.ndarray, *, bucket: Bucket, length_index: int, buffer: Buffer
    ) -> Staged:
        """Like `stage`, for samples of different lengths, none longer than that of the bucket."""
        length_indices = self.library.length_indices[np.asarray(indices)]
        if (length_indices == length_index).all():
            return self.stage(indices, rows, bucket=bucket, length_index=length_index, buffer=buffer)
        start = time.perf_counter_ns()
        batch = buffer.batch(bucket)
        self.library.collate_padded(rows, batch, length_indices=length_indices, padded_to=length_index)
        _pad(batch, len(indices))
        return self._staged(batch, indices, bucket, start)

    def compute(self, staged: Staged, *, instance: int = 0) -> tuple[np.ndarray | Ragged, int]:
        """Runs a staged batch on an instance.

        Returns:
            The responses to its real samples, and the `time.perf_counter_ns` at which the execution started.

        Raises:
            ValueError: the model or `respond` returned the wrong number of rows.
        """
        started_ns = time.perf_counter_ns()
        outputs = self._run[instance](staged.inputs)
        compute_ns = time.perf_counter_ns() - started_ns
        samples, (size, length) = len(staged.indices), staged.bucket
        check_outputs(outputs, size)
        if samples < size:
            outputs = tuple(output[:samples] for output in outputs)
        responses = self.served.respond(outputs, staged.indices)
        check_responses(responses, samples)
        samples_length = 0 if length is None else int(self.library.own_lengths[np.asarray(staged.indices)].sum())
        self._record((started_ns, staged.staging_ns, compute_ns, samples, samples_length, size, length or 0))
        return responses, started_ns

    def _staged(self, batch: Batch, indices: Sequence[int], bucket: Bucket, start_ns: int) -> Staged:
        inputs = self.served.executable.stage(batch)
        staging_ns = time.perf_counter_ns() - start_ns
        return Staged(inputs=inputs, indices=indices, bucket=bucket, staging_ns=staging_ns)

    def _record(self, row: tuple[int, ...]) -> None:
        with self._recorded:
            at = self._executions % self.recording.capacity
            for column, value in zip(self.recording.executions, row, strict=True):
                column[at] = value
            self._executions += 1
            self.recording.head[Recording.executions_word] = self._executions


def _pad(batch: Batch, samples: int) -> None:
    for array in batch:
        array[samples:] = array[0]


def check_outputs(outputs: Batch, batch_size: int) -> None:
    """Checks that each output of the model has one row for each sample.

    Raises:
        ValueError: an output has more or fewer.
    """
    for output in outputs:
        if len(output) != batch_size:
            raise _wrong_rows("The model", expected=batch_size, got=len(output))


def check_responses(responses: np.ndarray | Ragged, samples: int) -> None:
    """Checks that there is one response for each sample.

    Raises:
        ValueError: there are more or fewer.
    """
    got = len(responses.offsets) - 1 if isinstance(responses, Ragged) else len(responses)
    if got != samples:
        raise _wrong_rows("`respond`", expected=samples, got=got)


def _wrong_rows(who: str, *, expected: int, got: int) -> ValueError:
    rows = "1 row" if expected == 1 else f"{expected} rows"
    return ValueError(f"{who} must give {rows} for a batch of {expected}, got {got}.")


def chunks(samples: Sequence[int], size: int) -> list[slice]:
    """Slices of consecutive batches of `size`; the last may be shorter."""
    return [slice(start, min(start + size, len(samples))) for start in range(0, len(samples), size)]
