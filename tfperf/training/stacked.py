"""Tensors of many shapes as one vector for each type, which replicas exchange in one operation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stacking:
    """How tensors of these shapes and types lie in the vectors.

    Attributes:
        shapes: the shape of each tensor.
        dtypes: the type of each tensor.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[tf.DType, ...]

    @classmethod
    def of(cls, variables: Sequence[Any]) -> Stacking:
        """The stacking of tensors like these variables."""
        return cls(
            shapes=tuple(tuple(variable.shape) for variable in variables),
            dtypes=tuple(tf.as_dtype(variable.dtype) for variable in variables),
        )

    @property
    def lengths(self) -> dict[tf.DType, int]:
        """The length of each vector by its type."""
        found: dict[tf.DType, int] = {}
        for shape, dtype in zip(self.shapes, self.dtypes, strict=True):
            found[dtype] = found.get(dtype, 0) + math.prod(shape)
        return found

    def stack(self, tensors: Sequence[Any]) -> tuple[tf.Tensor, ...]:
        """The tensors as vectors, in the order of `lengths`; sparse ones become dense."""
        flat = [
            tf.reshape(tf.cast(tf.convert_to_tensor(tensor), dtype), [-1])
            for tensor, dtype in zip(tensors, self.dtypes, strict=True)
        ]
        return tuple(
            tf.concat([part for part, dtype in zip(flat, self.dtypes, strict=True) if dtype == kind], 0)
            for kind in self.lengths
        )

    def unstack(self, vectors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The tensors that were stacked."""
        parts = {kind: self._parts(kind, vector) for kind, vector in zip(self.lengths, vectors, strict=True)}
        return [next(parts[dtype]) for dtype in self.dtypes]

    def _parts(self, kind: tf.DType, vector: tf.Tensor) -> Iterator[tf.Tensor]:
        shapes = [shape for shape, dtype in zip(self.shapes, self.dtypes, strict=True) if dtype == kind]
        parts = tf.split(vector, [math.prod(shape) for shape in shapes])
        return iter([tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)])
