"""What Keras, tf.data and the device reveal about training in progress: examples, steps, waits, memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Above this, float32 can't count single examples.
_COUNTABLE = 2**24


def examples(model: keras.Model, *, evaluation: bool = False) -> int | None:
    """Examples in the model's loss since its metrics were reset; None if they can't be counted.

    Keras weights the mean loss by the examples of each batch, so the mean's count is their number, over all replicas.
    A model with a custom training step may count otherwise, so it is not counted.

    Waits for the device: call it where the metrics are read anyway.

    Args:
        model: compiled.
        evaluation: whether the metrics are of an evaluation.
    """
    if not has_keras_steps(model, evaluation=evaluation):
        return None
    loss = next((metric for metric in model.metrics if metric.name == "loss"), None)
    if not isinstance(loss, keras.metrics.Mean):
        return None
    count = float(np.asarray(keras.ops.convert_to_numpy(loss.count)))
    return int(count) if count.is_integer() and 0 < count < _COUNTABLE else None


def has_keras_steps(model: keras.Model, *, evaluation: bool = False) -> bool:
    """Whether the steps of training, or of evaluation, are Keras's own and not the model's."""
    steps = ("test_step", "make_test_function") if evaluation else ("train_step", "make_train_function")
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in steps)


def last_batch(iterator: Any, *, batch_size: int) -> int | None:
    """Examples in the last batch of an epoch, where `batch_size` is that of the others; None if that is unknown.

    Args:
        iterator: Keras's `EpochIterator` of the running `fit`, or None.
        batch_size: examples in the other batches.
    """
    last = _last_of_data(getattr(iterator, "data_adapter", None), batch_size=batch_size)
    # With `steps_per_epoch` an epoch may end before the data does, and the next one goes on there.
    return last if last == batch_size or getattr(iterator, "steps_per_epoch", None) is None else None


def _last_of_data(adapter: Any, *, batch_size: int) -> int | None:
    try:
        partial = getattr(adapter, "has_partial_batch", None)
    except NotImplementedError:  # the adapters of PyDatasets and generators don't know
        partial = None
    if partial is not None:
        return int(adapter.partial_batch_size) if partial else batch_size
    dataset = getattr(adapter, "_dataset", None)
    return _last_of(dataset, batch_size=batch_size) if isinstance(dataset, tf.data.Dataset) else None


# Datasets that give each element of their input once.
_ONE_TO_ONE = ("Options", "Prefetch", "ParallelMap", "Map", "Cache", "Shuffle")


def _last_of(dataset: Any, *, batch_size: int) -> int | None:
    if all(spec.shape.rank and spec.shape[0] is not None for spec in tf.nest.flatten(dataset.element_spec)):
        return batch_size
    while type(dataset).__name__.strip("_").removesuffix("Dataset") in _ONE_TO_ONE:
        dataset = getattr(dataset, "_input_dataset", None)
    if type(dataset).__name__.strip("_") not in ("BatchDataset", "ParallelBatchDataset"):
        return None
    examples = int(getattr(dataset, "_input_dataset", dataset).cardinality())
    return None if examples < 1 else examples % batch_size or batch_size


def iterations(model: keras.Model) -> int | None:
    """Updates of the optimizer so far; None without one. Waits for the device."""
    return updates(getattr(model, "optimizer", None))


def updates(optimizer: Any) -> int | None:
    """Updates that an optimizer has made; None if it is not one of Keras. Waits for the device."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return None
    return int(keras.ops.convert_to_numpy(optimizer.iterations))


def updates_every_step(model: keras.Model) -> bool:
    """Whether each step is one update: without accumulation, and without skipped steps of bad gradients."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer) or hasattr(optimizer, "inner_optimizer"):
        return False
    return not optimizer.gradient_accumulation_steps


def steps_between(least: int, most: int, *, found: Iterable[int | None]) -> int | None:
    """The first of the numbers found that lies between `least` and `most`; None if none does."""
    return next((steps for steps in found if steps is not None and least <= steps <= most), None)


def input_share(iterator: Any, moments: Sequence[tuple[float, int]]) -> float | None:
    """The share of the step time spent waiting for the next batch; None if tf.data does not measure it.

    tf.data keeps the last 100 gaps between the end of a request for a batch and the next request: the time of the step
    without its input. The rest of the time the step waited.

    Args:
        iterator: the source of the training function's batches. Distributed ones don't measure.
        moments: (seconds, steps so far) at the ends of the last executions of one epoch, oldest first.
    """
    if not isinstance(iterator, tf.data.Iterator):
        return None
    try:
        gaps_us = list(tf.data.experimental.get_model_proto(iterator).gap_times)
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError):  # a pipeline without autotuning has no model
        return None
    if not gaps_us or len(moments) < 2:
        return None
    ended_s, steps = moments[-1]
    enough = [moment for moment in moments if steps - moment[1] >= len(gaps_us)]
    since_s, before = enough[-1] if enough else moments[0]
    if steps == before:
        return None
    step_s = (ended_s - since_s) / (steps - before)
    counted = gaps_us[-max(1, steps - before - 1) :]  # the gap before them began in an execution that is left out
    working_s = float(sum(counted)) / len(counted) / 1e6
    return min(1.0, max(0.0, 1 - working_s / step_s))


def device_memory_peak_bytes() -> int | None:
    """TensorFlow's peak memory use on one GPU of this process so far; None without GPUs."""
    gpus: list[Any] = tf.config.list_logical_devices("GPU")
    peaks = [tf.config.experimental.get_memory_info(f"GPU:{index}")["peak"] for index in range(len(gpus))]
    return max(peaks, default=None)
