"""An executable made of concrete functions, which are traced before it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from tfperf.benchmarks.tensor import Batch, Tensor
from tfperf.inference.executable import Bucket, bucket_of, empty_batch

# A function bound to its inputs, so that a timed execution looks nothing up.
Staged: TypeAlias = Callable[[], Sequence[tf.Tensor]]


class ConcreteFunctions:
    """A model in a concrete function for each bucket. Nothing is traced after `prepare`.

    Implements `forms.Opened` for the forms that TensorFlow's own runtime executes. Any number of threads may run it.
    One that is made within `tf.device` runs there, whichever thread runs it.
    """

    def __init__(
        self,
        trace: Callable[[Bucket], Any],
        *,
        traces: Callable[[], int],
        form: str,
        inputs: tuple[Tensor, ...],
        taken: tuple[Tensor, ...],
        outputs: tuple[Tensor, ...],
        threads: int,
    ) -> None:
        """Traces nothing yet.

        Args:
            trace: returns the concrete function for a bucket, from `taken` [b, ...] to `outputs` [b, ...].
            traces: returns the number of tracings so far.
            form: as in `spec.Executable`.
            inputs: the model's inputs.
            taken: the inputs with the types that the functions take.
            outputs: the model's outputs.
            threads: CPU threads per operation, as set in TensorFlow.
        """
        self.form, self.inputs, self.outputs, self.threads = form, inputs, outputs, threads
        self.encoded: tuple[np.dtype[Any], ...] = tuple(
            np.dtype(tf.as_dtype(tensor.dtype).as_numpy_dtype) for tensor in taken
        )
        self.traces = traces
        self._trace = trace
        self._functions: dict[Bucket, Any] = {}
        self._placed = context.context().device_name or None  # it was opened within tf.device
        self._device = self._placed or ("/GPU:0" if tf.config.list_logical_devices("GPU") else None)
        self.host_memory = self._device is None

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """Those that were prepared, ascending."""
        return tuple(sorted(self._functions))

    def prepare(self, bucket: Bucket) -> None:
        """Traces for a bucket, compiles and runs once."""
        if bucket not in self._functions:
            self._functions[bucket] = self._trace(bucket)
            self.run(self.stage(self.encode(empty_batch(self.inputs, bucket))))

    def another(self) -> ConcreteFunctions:
        """The executable itself: its weights and functions serve all threads."""
        return self

    def encode(self, batch: Batch) -> Batch:
        """The samples in the types that the functions take, contiguous."""
        return tuple(np.ascontiguousarray(array, dtype) for array, dtype in zip(batch, self.encoded, strict=True))

    def stage(self, batch: Batch) -> Staged:
        """The bucket's function bound to its tensors, copied only to a GPU or where the memory is not aligned."""
        function = self._functions[bucket_of(batch, self.inputs)]
        if self._device is None:
            return functools.partial(function, *map(tf.convert_to_tensor, batch))
        with tf.device(self._device):
            return functools.partial(function, *(tf.identity(tf.convert_to_tensor(array)) for array in batch))

    def run(self, staged: Staged) -> Batch:
        """The outputs, copied to host memory."""
        if self._placed is None:
            return tuple([tensor.numpy() for tensor in staged()])
        with tf.device(self._placed):
            return tuple([tensor.numpy() for tensor in staged()])
