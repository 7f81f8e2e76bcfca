"""An executable made of one concrete function for each batch size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


class ConcreteFunctions:
    """A `tf.function` that was traced for each batch size beforehand; nothing that runs later can trace again.

    Implements `executable.Executable` for the forms that TensorFlow's own runtime executes.
    """

    def __init__(
        self,
        compute: Callable[[tf.Tensor], tf.Tensor],
        *,
        form: str,
        input_shape: tuple[int, ...],
        threads: int,
        jit_compile: bool = False,
    ) -> None:
        """Traces nothing yet.

        Args:
            compute: float32 [b, ...] -> float32 [b, ...], in TensorFlow's operations.
            form: as in `spec.Executable`.
            input_shape: of one sample.
            threads: that the process gave TensorFlow.
            jit_compile: whether XLA compiles it, which it does for each batch size on its own.
        """
        self.form, self.input_shape, self.threads = form, input_shape, threads
        self.input_dtype: np.dtype[Any] = np.dtype(np.float32)
        self.batch_sizes: tuple[int, ...] = ()
        self._function = tf.function(compute, autograph=False, jit_compile=jit_compile)
        self._concrete: dict[int, Any] = {}
        self._device = "/GPU:0" if tf.config.list_logical_devices("GPU") else None

    def prepare(self, batch_size: int) -> None:
        """Traces for a batch size, compiles and runs once."""
        if batch_size in self._concrete:
            return
        shape = [batch_size, *self.input_shape]
        self._concrete[batch_size] = self._function.get_concrete_function(tf.TensorSpec(shape, tf.float32))
        self.batch_sizes = tuple(sorted(self._concrete))
        self.run(self.stage(np.zeros(shape, np.float32)))

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """The samples as they are, contiguous."""
        return np.ascontiguousarray(samples, np.float32)

    def stage(self, inputs: np.ndarray) -> tf.Tensor:
        """A tensor, which on a CPU shares the memory of `inputs` where that is aligned, and on a GPU is a copy."""
        if self._device is None:
            return tf.convert_to_tensor(inputs)
        with tf.device(self._device):
            return tf.identity(tf.convert_to_tensor(inputs))

    def run(self, staged: tf.Tensor) -> np.ndarray:
        """The outputs, copied to host memory."""
        outputs: np.ndarray = self._concrete[staged.shape[0]](staged).numpy()
        return outputs

    def traces(self) -> int:
        """Tracings; XLA compiles once for each, when it first runs, since every shape is fixed."""
        return int(self._function.experimental_get_tracing_count())
