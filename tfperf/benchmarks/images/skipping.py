"""Corrupt images that a run skips."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import tensorflow as tf
from absl import logging

from tfperf.benchmarks.records.reason import reason_of
from tfperf.errors import DamagedDataError


class Skipped:
    """The corrupt images found so far, by name: at most `limit` of them, each logged once if `log`."""

    def __init__(self, limit: int, *, log: bool = True) -> None:
        """None found so far."""
        self.limit = limit
        self._log = log
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def lines(self) -> tuple[str, ...]:
        """Each image with its defect."""
        with self._lock:
            return tuple(f"{name}: {reason}" for name, reason in sorted(self._reasons.items()))

    @property
    def exceeded(self) -> bool:
        """Whether there were more than the limit."""
        return len(self._reasons) > self.limit

    def add(self, name: str, reason: str) -> None:
        """Adds an image. One that was found in an earlier epoch counts once.

        Raises:
            DamagedDataError: the limit is exceeded.
        """
        with self._lock:
            if self._log and name not in self._reasons:
                logging.warning("Skipped a corrupt image, %s: %s", name, reason)
            self._reasons.setdefault(name, reason)
        if self.exceeded:
            raise DamagedDataError(f"More than data.skip_corrupt={self.limit} images are corrupt: {name}")


def decode_or_skip(
    decode: Callable[..., tf.Tensor], inputs: Sequence[tf.Tensor], *, name: tf.Tensor, size: int, skipped: Skipped
) -> tuple[tf.Tensor, tf.Tensor]:
    """`decode(*inputs)` and True; zeros and False for an image that can't be decoded.

    Calls Python for each image, so use it only in a run that may skip images.
    """
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    compiled = tf.function(decode, input_signature=specs)

    def attempt(name: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, bool]:
        try:
            return compiled(*inputs), True
        except tf.errors.InvalidArgumentError as error:
            skipped.add(name.numpy().decode(errors="replace"), reason_of(error))
            return tf.zeros([size, size, 3]), False

    image, whole = tf.py_function(attempt, [name, *inputs], [tf.float32, tf.bool])
    return tf.ensure_shape(image, [size, size, 3]), tf.ensure_shape(whole, [])
