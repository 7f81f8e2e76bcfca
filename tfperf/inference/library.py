"""The sample library: LoadGen's samples, encoded and in memory before the clock runs."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfperf.benchmarks.tensor import Batch, Sample, Tensor, batch_of, length_of
from tfperf.errors import TfperfError, UnfitSampleError
from tfperf.inference.executable import Executable
from tfperf.inference.job import ServedModel
from tfperf.inference.recording import Recording
from tfperf.system import memory

BLOCK = 32  # samples read at once: 19 MB of float32 at 224 x 224
_SHARE_OF_MEMORY = 0.9


class SampleLibrary:
    """Encoded samples, by their number in the data set.

    Samples that run at the same length are padded to it and stored together, so that collating a batch of them is one
    `np.take` for each input of the model.

    Attributes:
        lengths: the lengths that the model is compiled for, ascending; (None,) if samples have none.
        arrays: for each of `lengths`, one array [loaded, ...] of encoded samples for each input.
        rows: the row of each sample of the set in these arrays, intp [total]; -1 if it is not loaded.
        length_indices: the index in `lengths` of each sample's length, intp [total]; 0 if it is not loaded.
        own_lengths: the length of each sample without padding, intp [total]; 0 if it has none or is not loaded.
        ready: each sample as a batch of its own; None if it is not loaded. Empty unless `keep_ready` was called.
    """

    def __init__(self, served: ServedModel, recording: Recording) -> None:
        executable = served.executable
        self.lengths = lengths_of(executable)
        self.rows = np.full(served.total, -1, np.intp)
        self.length_indices = np.zeros(served.total, np.intp)
        self.own_lengths = np.zeros(served.total, np.intp)
        self.ready: list[Any] = []
        self._served, self._recording = served, recording
        self._ready_sizes: tuple[int, ...] = ()
        self._padding = [_padding(executable, length) for length in self.lengths] if len(self.lengths) > 1 else []
        self.arrays = self._allocated(0)

    def keep_ready(self, batch_sizes: Mapping[int | None, int]) -> None:
        """From the next `load` on, also keeps each sample as a batch of the size given for its length.

        The sample is repeated to fill the batch. The batch is staged if that leaves it in host memory. It is not if
        staging copies it to an accelerator: MLPerf's rules allow samples no closer to it than host memory before they
        are issued (inference_rules.adoc of mlcommons/inference_policies).
        """
        self._ready_sizes = tuple(batch_sizes[length] for length in self.lengths)
        self.ready = [None] * self._served.total

    def load(self, indices: Sequence[int]) -> None:
        """Reads and encodes the samples, makes them ready after `keep_ready`, and counts them in the recording.

        Raises:
            TfperfError: they do not fit into memory, or one does not fit the model's inputs.
            ValueError: there are too few samples.
        """
        head = self._recording.head
        head[Recording.loaded_word], head[Recording.to_load_word] = 0, len(indices)
        self._check_memory(len(indices), self._bytes_of_sample(0))
        self.arrays = self._allocated(len(indices))  # memory that is never written is never taken
        counts = [0] * len(self.lengths)
        for start in range(0, len(indices), BLOCK):
            block = indices[start : start + BLOCK]
            for length_index, samples in self._read(block).items():
                self._keep(samples, length_index=length_index, first_row=counts[length_index])
                counts[length_index] += len(samples)
            read = start + len(block)
            if len(self.lengths) > 1:
                read_bytes = sum(count * self._bytes_of_sample(index) for index, count in enumerate(counts))
                self._check_memory(len(indices) - read, read_bytes / read)
            head[Recording.loaded_word] = read
        self.arrays = [
            tuple(array[:count] for array in arrays) for arrays, count in zip(self.arrays, counts, strict=True)
        ]

    def unload(self, indices: Sequence[int]) -> None:
        """Unloads the samples, and frees the memory once none is left; LoadGen unloads all that it loaded at once."""
        self.rows[np.asarray(indices)] = -1
        if self.ready:
            for index in indices:
                self.ready[index] = None
        if (self.rows < 0).all():
            self.arrays = self._allocated(0)

    def rows_of(self, indices: Sequence[int]) -> np.ndarray:
        """The rows of these samples, intp [n].

        Raises:
            ValueError: one is not loaded.
        """
        rows: np.ndarray = self.rows[np.asarray(indices)]
        if rows.min() < 0:
            missing = [index for index, row in zip(indices, rows, strict=True) if row < 0]
            raise ValueError(f"{len(missing)} of {len(rows)} samples are not loaded, sample {missing[0]} first.")
        return rows

    def one(self, row: int, *, length_index: int) -> Batch:
        """A batch of one sample, which shares the library's memory."""
        return tuple(array[row : row + 1] for array in self.arrays[length_index])

    def collate(self, rows: np.ndarray, into: Batch, *, length_index: int) -> None:
        """Copies samples of one length into the first rows of a batch.

        Args:
            rows: the rows of the samples, [n], from `rows_of`.
            into: the batch, one array [>= n, ...] for each input.
            length_index: index of the samples' length.
        """
        for array, target in zip(self.arrays[length_index], into, strict=True):
            # With "raise" NumPy would first collate into its own buffer; `rows_of` has checked the rows.
            np.take(array, rows, axis=0, out=target[: len(rows)], mode="clip")

    def collate_padded(self, rows: np.ndarray, into: Batch, *, length_indices: np.ndarray, padded_to: int) -> None:
        """Copies samples of different lengths into the first rows of a batch, padded to one length.

        Args:
            rows: as in `collate`.
            into: as in `collate`.
            length_indices: index of each sample's length, [n].
            padded_to: index of the batch's length, at least the largest of `length_indices`.
        """
        for position, (target, padding) in enumerate(zip(into, self._padding[padded_to], strict=True)):
            target[: len(rows)] = padding
            for length_index in np.unique(length_indices):
                array = self.arrays[length_index][position]
                chosen = np.flatnonzero(length_indices == length_index)
                where: tuple[Any, ...] = (chosen, *map(slice, array.shape[1:]))
                target[where] = array[rows[chosen]]

    def _read(self, block: Sequence[int]) -> dict[int, list[tuple[int, Sample]]]:
        """The samples with these numbers, as (number, sample) by the index of their length."""
        samples = self._served.load(block)
        if len(samples) != len(block):
            raise ValueError(
                f"Loading {len(block)} samples must give {len(block)} samples, got {len(samples)}. Look at the "
                "benchmark's `open_samples`."
            )
        found: dict[int, list[tuple[int, Sample]]] = {}
        for number, sample in zip(block, samples, strict=True):
            length_index = length_index_of(sample, number, self._served.executable.inputs, self.lengths)
            found.setdefault(length_index, []).append((number, sample))
        return found

    def _keep(self, samples: Sequence[tuple[int, Sample]], *, length_index: int, first_row: int) -> None:
        executable = self._served.executable
        numbers = np.array([number for number, _ in samples])
        batch = batch_of([sample for _, sample in samples], executable.inputs, length=self.lengths[length_index])
        for array, encoded in zip(self.arrays[length_index], executable.encode(batch), strict=True):
            array[first_row : first_row + len(samples)] = encoded
        self.rows[numbers] = np.arange(first_row, first_row + len(samples))
        self.length_indices[numbers] = length_index
        if self.lengths[length_index] is not None:
            self.own_lengths[numbers] = [length_of(sample, executable.inputs) or 0 for _, sample in samples]
        if self._ready_sizes:
            size = self._ready_sizes[length_index]
            for row, (number, _) in enumerate(samples, first_row):
                one = self.one(row, length_index=length_index)
                filled = one if size == 1 else tuple(np.repeat(array, size, axis=0) for array in one)
                self.ready[number] = executable.stage(filled) if executable.host_memory else filled

    def _check_memory(self, samples: int, bytes_of_sample: float) -> None:
        available, needed = memory.available_bytes(), samples * bytes_of_sample
        if available is not None and needed > _SHARE_OF_MEMORY * available:
            raise TfperfError(
                f"{samples} samples of {bytes_of_sample / 1e6:.2f} MB need {needed / 1e9:.1f} GB of memory, and "
                f"{available / 1e9:.1f} GB are available. Free memory, or load fewer with performance_samples."
            )

    def _bytes_of_sample(self, length_index: int) -> float:
        executable, length = self._served.executable, self.lengths[length_index]
        encoded = sum(
            dtype.itemsize * math.prod(tensor.at(length))
            for tensor, dtype in zip(executable.inputs, executable.encoded, strict=True)
        )
        copies = self._ready_sizes[length_index] if self._ready_sizes else 0  # staging may copy
        return encoded * (1 + copies)

    def _allocated(self, samples: int) -> list[Batch]:
        executable = self._served.executable
        return [
            tuple(
                np.empty((samples, *tensor.at(length)), dtype)
                for tensor, dtype in zip(executable.inputs, executable.encoded, strict=True)
            )
            for length in self.lengths
        ]


def lengths_of(executable: Executable) -> tuple[int | None, ...]:
    """The lengths that the model is compiled for, ascending; (None,) where samples have none."""
    found = {bucket.length for bucket in executable.buckets}
    return tuple(sorted(found, key=lambda length: length or 0))


def batch_sizes_of(executable: Executable, length: int | None) -> tuple[int, ...]:
    """The batch sizes that the model is compiled for at a length, ascending."""
    return tuple(sorted(bucket.batch for bucket in executable.buckets if bucket.length == length))


def length_index_of(sample: Sample, number: int | str, tensors: Sequence[Tensor], lengths: Sequence[int | None]) -> int:
    """The index of the shortest length that holds a sample.

    Args:
        sample: the sample.
        number: the number of the sample, for messages.
        tensors: the model's inputs.
        lengths: the lengths that the model is compiled for, from `lengths_of`.

    Raises:
        UnfitSampleError: the sample does not fit the model's inputs, or is too long.
    """
    try:
        length = length_of(sample, tensors)
    except ValueError as error:
        raise UnfitSampleError(
            f"Sample {number} does not fit the model: {error} Look at the benchmark's `open_samples` and `inputs`."
        ) from error
    if length is None:
        return 0
    index = bisect.bisect_left([each or 0 for each in lengths], length)
    if index == len(lengths):
        raise UnfitSampleError(
            f"Sample {number} has length {length}, and the largest length that the model is compiled for is "
            f"{lengths[-1]}. Add a larger one to the `lengths` of the benchmark's InferenceTask, or truncate samples "
            "in its `open_samples`."
        )
    return index


def _padding(executable: Executable, length: int | None) -> Batch:
    """Nothing but padding: one encoded sample [1, ...] of this length."""
    return executable.encode(
        tuple(np.full((1, *tensor.at(length)), tensor.padding, tensor.dtype) for tensor in executable.inputs)
    )
