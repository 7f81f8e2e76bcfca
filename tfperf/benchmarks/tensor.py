"""The inputs and outputs of a model: named tensors, and samples and batches of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Sample: TypeAlias = tuple[np.ndarray, ...]  # one array for each tensor, without a batch dimension
Batch: TypeAlias = tuple[np.ndarray, ...]  # one array [n, ...] for each tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """One input or output of a model. Its shape is that of one sample, without a batch dimension.

    Attributes:
        name: its name in the Keras model.
        shape: the shape in one sample. None stands for the sample's length, which is the same in all its tensors.
        dtype: NumPy's name for the type.
        padding: the value that pads an input to a longer length.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    padding: float = 0

    def at(self, length: int | None) -> tuple[int, ...]:
        """The shape of a sample of this length.

        Raises:
            ValueError: the tensor has a length and none is given.
        """
        if length is None and None in self.shape:
            raise ValueError(f"{self.name} has a length, so its shape {self.shape} needs one.")
        return tuple(length if size is None and length is not None else size or 0 for size in self.shape)

    def __str__(self) -> str:
        sizes = ", ".join("length" if size is None else str(size) for size in ("n", *self.shape))
        return f"{self.name}: {self.dtype} [{sizes}]"


def has_length(tensors: Sequence[Tensor]) -> bool:
    """Whether samples of these tensors differ in length."""
    return any(None in tensor.shape for tensor in tensors)


def length_of(sample: Sequence[Any], tensors: Sequence[Tensor]) -> int | None:
    """The length of a sample; None if its tensors have none.

    Args:
        sample: one array for each tensor.
        tensors: the tensors of a sample.

    Raises:
        ValueError: the sample does not fit the tensors. The message says which tensor, what is expected and what was
            found.
    """
    if len(sample) != len(tensors):
        raise ValueError(f"A sample has {len(tensors)} tensors, {_names(tensors)}; got {len(sample)}.")
    found: int | None = None
    for array, tensor in zip(sample, tensors, strict=True):
        fits = len(array.shape) == len(tensor.shape)
        for size, expected in zip(array.shape, tensor.shape, strict=False):
            if expected is None:
                found = size if found is None else found
            fits = fits and size == (found if expected is None else expected)
        if not fits or array.dtype != tensor.dtype:
            expected_shape = [found if size is None and found is not None else size for size in tensor.shape]
            raise ValueError(
                f"{tensor.name} must be {tensor.dtype} {expected_shape}, got {array.dtype} {list(array.shape)}."
            )
    return found


def batch_of(samples: Sequence[Sample], tensors: Sequence[Tensor], *, length: int | None = None) -> Batch:
    """The samples as one batch, each tensor padded to `length`.

    Args:
        samples: n samples.
        tensors: the tensors of a sample.
        length: the length to pad to, at least that of the longest sample; None if the tensors have none.

    Returns:
        One C-contiguous array [n, ...] for each tensor.
    """
    arrays = []
    for place, tensor in enumerate(tensors):
        if None not in tensor.shape:
            array = np.empty((len(samples), *tensor.at(None)), tensor.dtype)
        else:
            array = np.full((len(samples), *tensor.at(length)), tensor.padding, tensor.dtype)
        for row, sample in enumerate(samples):
            where: tuple[Any, ...] = (row, *map(slice, sample[place].shape))
            array[where] = sample[place]
        arrays.append(array)
    return tuple(arrays)


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)
