"""Samples and outputs in files, for other processes; and the samples that a bucket is measured with."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfperf.benchmarks.tensor import Batch, Sample, Tensor, batch_of, length_of
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.library import batch_sizes_of, length_index_of, lengths_of


class AnsweredBatch(NamedTuple):
    """The outputs for some of the samples.

    Attributes:
        indices: positions of the samples.
        outputs: one array [n, ...] for each output of the model.
    """

    indices: tuple[int, ...]
    outputs: Batch


def write_samples(path: pathlib.Path, samples: Sequence[Sample]) -> None:
    """Writes samples, which may differ in length, into one file."""
    with path.open("wb") as file:
        for array in itertools.chain.from_iterable(samples):
            np.save(file, array, allow_pickle=False)


def read_samples(path: pathlib.Path, tensors: Sequence[Tensor]) -> list[Sample]:
    """What `write_samples` wrote; the samples are of these tensors."""
    arrays = _arrays(path)
    return list(iter(lambda: tuple(itertools.islice(arrays, len(tensors))), ()))


def write_answers(path: pathlib.Path, batches: Iterable[AnsweredBatch]) -> None:
    """Writes outputs with the positions of their samples into one file."""
    with path.open("wb") as file:
        for indices, outputs in batches:
            for array in (np.array(indices, np.int64), *outputs):
                np.save(file, array, allow_pickle=False)


def read_answers(path: pathlib.Path, tensors: Sequence[Tensor]) -> Iterator[AnsweredBatch]:
    """What `write_answers` wrote; the outputs are of these tensors."""
    arrays = _arrays(path)
    for indices in arrays:
        yield AnsweredBatch(tuple(indices.tolist()), tuple(itertools.islice(arrays, len(tensors))))


def answers(
    executable: Executable, samples: Sequence[Sample], *, batch_sizes: Mapping[int | None, int] | None = None
) -> Iterator[AnsweredBatch]:
    """Runs the samples in batches of one length, the last batch of each filled up.

    Args:
        executable: runs them.
        samples: the samples.
        batch_sizes: the batch size for each length; None takes the largest.

    Raises:
        UnfitSampleError: a sample does not fit the model's inputs, or is longer than all buckets.
    """
    lengths = lengths_of(executable)
    fitting = [length_index_of(sample, number, executable.inputs, lengths) for number, sample in enumerate(samples)]
    for length_index, length in enumerate(lengths):
        chosen = [number for number, index in enumerate(fitting) if index == length_index]
        size = batch_sizes_of(executable, length)[-1] if batch_sizes is None else batch_sizes[length]
        for start in range(0, len(chosen), size):
            indices = chosen[start : start + size]
            filled = [samples[index] for index in (*indices, *[indices[-1]] * (size - len(indices)))]
            batch = batch_of(filled, executable.inputs, length=length)
            outputs = executable.run(executable.stage(executable.encode(batch)))
            yield AnsweredBatch(tuple(indices), tuple(array[: len(indices)] for array in outputs))


def typical_batch(samples: Sequence[Sample], executable: Executable, bucket: Bucket) -> Batch:
    """An encoded batch of the longest samples that fit a bucket, repeated to fill it.

    Where all samples are longer, they are cut off.
    """
    tensors, length = executable.inputs, bucket.length
    if length is None:
        fitting = list(samples[: bucket.batch])
    else:
        by_length = sorted(samples, key=lambda sample: length_of(sample, tensors) or 0, reverse=True)
        fitting = [sample for sample in by_length if (length_of(sample, tensors) or 0) <= length][: bucket.batch]
        fitting = fitting or [_cut(sample, tensors, length) for sample in by_length[-bucket.batch :]]
    filled = list(itertools.islice(itertools.cycle(fitting), bucket.batch))
    return executable.encode(batch_of(filled, tensors, length=length))


def _cut(sample: Sample, tensors: Sequence[Tensor], length: int) -> Sample:
    return tuple(
        array[tuple(slice(length if size is None else None) for size in tensor.shape)]
        for array, tensor in zip(sample, tensors, strict=True)
    )


def _arrays(path: pathlib.Path) -> Iterator[np.ndarray]:
    end = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < end:
            yield np.load(file, allow_pickle=False)
