"""Shortens gradients by their global norm, on each replica before they are summed, or their sum.

An optimizer asks for it with the attributes `clip_norm` and `clip`, as `ReferenceLamb` does. Losses are divided by the
number of replicas, as Keras divides them, so the sum over the replicas is the gradient of the mean loss, and what one
replica contributes is its own gradient divided by their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def of_replica(optimizer: Any, gradients: Sequence[Any], *, replicas: int) -> Sequence[Any]:
    """What one replica contributes, its own gradient shortened to `clip_norm`; unchanged unless `clip` is `before`.

    Args:
        optimizer: the optimizer, with or without a dynamic loss scale.
        gradients: those of one micro-batch, scaled as the optimizer scales losses; None for unconnected variables.
        replicas: the number of replicas.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(inner, "clip_norm", None) is None or inner.clip != "before":
        return gradients
    return by_global_norm(gradients, optimizer.scale_loss(tf.constant(inner.clip_norm / replicas, tf.float32)))


def of_sum(optimizer: Any, sums: Sequence[Any]) -> Sequence[Any]:
    """The sum over all replicas, shortened to `clip_norm`; unchanged unless `clip` is `after`.

    Args:
        optimizer: an optimizer without a loss scale.
        sums: the gradients, summed over the replicas and without a loss scale; None for unconnected variables.
    """
    if getattr(optimizer, "clip_norm", None) is None or optimizer.clip != "after":
        return sums
    return by_global_norm(sums, tf.constant(optimizer.clip_norm, tf.float32))


def by_global_norm(gradients: Sequence[Any], norm: tf.Tensor) -> list[Any]:
    """The gradients, shortened so that all of them together have at most this norm.

    Sparse gradients become dense first: a row that occurs twice counts with its sum. If any value is infinite or NaN,
    all results are NaN, so that a step with a loss scale is skipped.
    """
    dense = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]
    clipped, _ = tf.clip_by_global_norm(dense, norm)
    return list(clipped)
