"""What an optimizer does with gradients that are already summed over the replicas, on one device.

Keras's `Optimizer.apply` sums them itself, variable by variable, and can't be compiled where variables live on several
devices. Here are its remaining parts, for an update context: see `on_each_device`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfperf.training import clipping
from tfperf.training.lamb import ReferenceLamb

# What calls `update_step` in Keras. An optimizer that overrides any of them, such as Nadam, does more.
_CALLERS = ("apply", "apply_gradients", "_backend_apply_gradients", "_backend_update_step")
# What changes the gradients in Keras. `clipping` does what tfperf's own optimizers do there.
_CHANGERS = ("_clip_gradients", "_all_reduce_sum_gradients")


def is_possible(optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]) -> bool:
    """Whether the optimizer does nothing but clip as `clipping` does, and `update_step` for each variable, with or
    without a dynamic loss scale.

    Everything else that `Optimizer.apply` can do reads or writes other variables, or clips otherwise.
    """
    stepping = _stepping(optimizer)
    names = _CALLERS if isinstance(stepping, ReferenceLamb) else (*_CALLERS, *_CHANGERS)
    if any(getattr(type(stepping), name) is not getattr(keras.optimizers.Optimizer, name) for name in names):
        return False
    further = (
        stepping.clipnorm,
        stepping.clipvalue,
        stepping.global_clipnorm,
        stepping.weight_decay,
        stepping.use_ema,
        stepping.loss_scale_factor,
        stepping.gradient_accumulation_steps,
    )
    return not any(further) and not any(
        variable.constraint is not None or variable.overwrite_with_gradient for variable in variables
    )


def apply(
    optimizer: keras.optimizers.Optimizer, sums: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
) -> None:
    """Moves the variables, as `optimizer.apply` would with gradients whose sums over the replicas these are.

    If the gradient of each replica is to be clipped, that must have happened before the sum.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        finite = tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(each)) for each in sums]))
        tf.cond(finite, lambda: _apply_scaled(optimizer, sums, variables), lambda: _lower_scale(optimizer))
    else:
        _step(optimizer, sums, variables)


def _step(optimizer: Any, sums: Sequence[tf.Tensor], variables: Sequence[keras.Variable]) -> None:
    rate = optimizer.learning_rate
    for gradient, variable in zip(clipping.of_sum(optimizer, sums), variables, strict=True):
        optimizer.update_step(gradient, variable.value, rate)
    optimizer.iterations.assign_add(1)


def _apply_scaled(optimizer: Any, sums: Sequence[tf.Tensor], variables: Sequence[keras.Variable]) -> None:
    """A step with a loss that was scaled; after `dynamic_growth_steps` of them the scale doubles."""
    scale, counter = tf.identity(optimizer.dynamic_scale.value), tf.identity(optimizer.step_counter.value)
    _step(optimizer.inner_optimizer, [each / tf.cast(scale, each.dtype) for each in sums], variables)
    grows = tf.equal(counter, optimizer.dynamic_growth_steps - 1)
    optimizer.step_counter.assign(tf.where(grows, tf.zeros_like(counter), counter + 1))
    optimizer.dynamic_scale.assign(tf.where(grows, 2 * scale, scale))


def _lower_scale(optimizer: Any) -> None:
    """No step, because a gradient overflowed, and half the scale."""
    optimizer.step_counter.assign(0)
    optimizer.dynamic_scale.assign(0.5 * optimizer.dynamic_scale)


def _stepping(optimizer: Any) -> Any:
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer
