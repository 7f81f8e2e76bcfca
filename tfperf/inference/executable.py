"""What the SUT runs: a model in one compiled form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfperf.benchmarks.tensor import Batch, Tensor


class Bucket(NamedTuple):
    """A size that a model is compiled for.

    Attributes:
        batch: samples in a batch.
        length: of each sample, padding included; None where samples have none.
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
    """A batch of zeros for a bucket, to compile and run a model with once."""
    return tuple(np.zeros([bucket.batch, *tensor.at(bucket.length)], tensor.dtype) for tensor in tensors)


class Executable(Protocol):
    """A model in one compiled form, compiled for each of its buckets.

    `run` is called from one thread at a time; `stage` may be called from another one meanwhile.

    Attributes:
        form: its name, as in `spec.Executable`.
        inputs: what goes in.
        outputs: what comes out.
        buckets: ascending; nothing else may be staged.
        encoded: the types in which the sample library keeps the inputs, one for each.
        threads: CPU threads per operation.
    """

    form: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    buckets: tuple[Bucket, ...]
    encoded: tuple[np.dtype[Any], ...]
    threads: int

    def encode(self, batch: Batch) -> Batch:
        """Preprocessed samples [n, ...] as the library keeps them: the same shapes, in the types of `encoded`."""

    def stage(self, batch: Batch) -> Any:
        """An encoded batch, of the batch size and the length of a bucket, as `run` takes it.

        The result may share the memory of `batch`, which must stay as it is until `run` has returned. Another instance
        of the same form may run it.
        """

    def run(self, staged: Any) -> Batch:
        """The outputs, one array [b, ...] each, in host memory when this returns, and the caller's to keep."""

    def traces(self) -> int:
        """Tracings and compilations so far; must not rise once every bucket was run."""
