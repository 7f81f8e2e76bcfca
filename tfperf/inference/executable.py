"""The interface of a model in one compiled form, which the SUT runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfperf.benchmarks.tensor import Batch, Tensor


class Bucket(NamedTuple):
    """A size that a model is compiled for.

    Attributes:
        batch: samples in a batch.
        length: the length of each sample, padding included; None if samples have none.
    """

    batch: int
    length: int | None = None

    def __str__(self) -> str:
        return str(self.batch) if self.length is None else f"{self.batch}x{self.length}"


def bucket_of(batch: Batch, tensors: Sequence[Tensor]) -> Bucket:
    """The batch size and the length of a batch of these tensors."""
    for array, tensor in zip(batch, tensors, strict=True):
        if None in tensor.shape:
            return Bucket(len(array), array.shape[1 + tensor.shape.index(None)])
    return Bucket(len(batch[0]))


def empty_batch(tensors: Sequence[Tensor], bucket: Bucket) -> Batch:
    """A batch of zeros for a bucket, with which a model is compiled and run once."""
    return tuple(np.zeros([bucket.batch, *tensor.at(bucket.length)], tensor.dtype) for tensor in tensors)


class Executable(Protocol):
    """A model in one compiled form, compiled for each of its buckets.

    `run` is called from one thread at a time; another thread may call `stage` meanwhile.

    Attributes:
        form: its name, as in `spec.Executable`.
        inputs: the model's inputs.
        outputs: the model's outputs.
        buckets: the buckets that it is compiled for, ascending. Only batches of these sizes may be staged.
        encoded: the types in which the sample library keeps the inputs, one for each input.
        threads: CPU threads per operation.
        host_memory: whether `stage` leaves a batch in the memory of the host, where the library's samples are.
    """

    form: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    buckets: tuple[Bucket, ...]
    encoded: tuple[np.dtype[Any], ...]
    threads: int
    host_memory: bool

    def encode(self, batch: Batch) -> Batch:
        """Converts preprocessed samples [n, ...] to the types of `encoded`, as the library keeps them."""

    def stage(self, batch: Batch) -> Any:
        """Prepares an encoded batch, whose size is that of a bucket, for `run`.

        The result may share the memory of `batch`, which must not change until `run` has returned. Another instance of
        the same form may run it.
        """

    def run(self, staged: Any) -> Batch:
        """The outputs, one array [b, ...] each. They are in host memory when this returns, and belong to the caller."""

    def traces(self) -> int:
        """Tracings and compilations so far. The number must not rise after every bucket was run once."""
