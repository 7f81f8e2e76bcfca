"""The dynamic loss scale of float16, agreed on by all replicas."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class LossScale(keras.optimizers.LossScaleOptimizer):  # type: ignore[misc]  # Keras has no types
    """Keras's dynamic loss scale, which skips a step when any replica's gradient overflowed.

    Keras asks the first replica alone: an overflow on another one makes every weight infinite or NaN, and workers
    that disagree wait for each other for ever (Keras 3.15.1).
    """

    def check_finite(self, grads: list[Any]) -> Any:
        """Whether the gradients of every replica are finite."""
        overflowed = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        replica = tf.distribute.get_replica_context()
        return tf.equal(replica.all_reduce(tf.distribute.ReduceOp.SUM, overflowed), 0.0)
