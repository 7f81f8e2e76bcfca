"""How many examples and steps Keras's own training has really done, as the model itself counted them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

# From here on a float32 can't count single examples.
_COUNTABLE = 2**24


def examples(model: keras.Model, *, evaluation: bool = False) -> int | None:
    """Examples in the model's loss since its metrics were reset; None where they can't be told.

    Keras weights the mean loss by the examples of each batch, so the mean's count is their number, over all replicas.
    A model with a training step of its own may count otherwise, and is not asked.

    Waits for the device: call it where the metrics are read anyway.

    Args:
        model: compiled.
        evaluation: whether the metrics are of an evaluation.
    """
    steps = ("test_step", "make_test_function") if evaluation else ("train_step", "make_train_function")
    if any(getattr(type(model), name) is not getattr(keras.Model, name) for name in steps):
        return None
    loss = next((metric for metric in model.metrics if metric.name == "loss"), None)
    if not isinstance(loss, keras.metrics.Mean):
        return None
    count = float(np.asarray(keras.ops.convert_to_numpy(loss.count)))
    return int(count) if count.is_integer() and 0 < count < _COUNTABLE else None


def iterations(model: keras.Model) -> int | None:
    """Updates of the optimizer so far; None without one. Waits for the device."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return None
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def updates_every_step(model: keras.Model) -> bool:
    """Whether the optimizer's updates count its steps: without accumulation and without skipping of bad gradients."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer) or hasattr(optimizer, "inner_optimizer"):
        return False
    return not optimizer.gradient_accumulation_steps


def steps_between(least: int, most: int, *, found: Iterable[int | None]) -> int | None:
    """The first number found that is possible; None when none is."""
    return next((steps for steps in found if steps is not None and least <= steps <= most), None)


def device_memory_peak_bytes() -> int | None:
    """The most memory that TensorFlow had in use on one GPU of this process so far; None without GPUs."""
    import tensorflow as tf

    gpus: list[Any] = tf.config.list_logical_devices("GPU")
    peaks = [tf.config.experimental.get_memory_info(f"GPU:{index}")["peak"] for index in range(len(gpus))]
    return max(peaks, default=None)
