"""Builds the Keras optimizer that a spec describes."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfperf import spec as specs
from tfperf.errors import UsageError
from tfperf.training.lamb import ReferenceAdam, ReferenceAdamW, ReferenceLamb
from tfperf.training.lars import ReferenceLars
from tfperf.training.momentum import ReferenceMomentum
from tfperf.training.schedules import (
    ConstantAfterWarmup,
    PolynomialDecayWithWarmup,
    SteppedDecayWithWarmup,
    WholeRunDecayWithWarmup,
)
from tfperf.training.sgd import ReferenceSgd


class ReplicatedLossScale(keras.optimizers.LossScaleOptimizer):  # type: ignore[misc]  # Keras has no types
    """Keras's dynamic loss scale of float16, which skips a step when any replica's gradient overflowed.

    Keras checks the first replica only. An overflow on another one makes every weight infinite or NaN, and workers
    that disagree wait for each other forever (Keras 3.15.1).
    """

    def check_finite(self, grads: list[Any]) -> Any:
        """Whether the gradients of every replica are finite."""
        overflowed = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
        replica = tf.distribute.get_replica_context()
        return tf.equal(replica.all_reduce(tf.distribute.ReduceOp.SUM, overflowed), 0.0)


def build(
    optimizer: specs.Optimizer,
    *,
    steps_per_epoch: int,
    total_steps: int,
    precision: specs.Precision = "float32",
) -> keras.optimizers.Optimizer:
    """The Keras optimizer. Call it in the strategy's scope.

    It has no gradient accumulation: Keras's branches on the device, which strategies of several replicas
    don't support, and its schedule counts micro-batches. Average the gradients first and apply them once a step.

    Args:
        optimizer: the optimizer of the spec.
        steps_per_epoch: optimizer steps in an epoch. `Sgd`, `Lars` and `Adam` count the warm-up in epochs, `Momentum`
            the decay.
        total_steps: steps of the run, which the schedule spans unless the spec gives its steps.
        precision: `mixed_float16` wraps the optimizer in a dynamic loss scale.

    Raises:
        UsageError: the warm-up is longer than the run.
    """
    if isinstance(optimizer, specs.Lamb | specs.AdamW):
        built = _adaptive(optimizer, _whole_run(optimizer, total_steps=total_steps))
    elif isinstance(optimizer, specs.Momentum):
        built = _momentum(optimizer, steps_per_epoch=steps_per_epoch)
    elif isinstance(optimizer, specs.Adam):
        built = _adam(optimizer, steps_per_epoch=steps_per_epoch)
    else:
        schedule = PolynomialDecayWithWarmup(
            optimizer.base_learning_rate,
            warmup_steps=optimizer.warmup_epochs * steps_per_epoch,
            decay_steps=_decay_steps(optimizer, steps_per_epoch=steps_per_epoch, total_steps=total_steps),
            end_learning_rate=optimizer.end_learning_rate,
            power=optimizer.decay_power,
        )
        built = _lars(optimizer, schedule) if isinstance(optimizer, specs.Lars) else _sgd(optimizer, schedule)
    return ReplicatedLossScale(built) if precision == "mixed_float16" else built


def _whole_run(optimizer: specs.Lamb | specs.AdamW, *, total_steps: int) -> WholeRunDecayWithWarmup:
    """The schedule, whose decay ends with the run if the spec leaves its steps open.

    Raises:
        UsageError: the warm-up is longer than the run.
    """
    start = optimizer.start_warmup_step if isinstance(optimizer, specs.Lamb) else 0
    if start + optimizer.warmup_steps > total_steps:
        raise UsageError(
            f"The warm-up must end within the {total_steps} steps of the run, got warmup_steps="
            f"{optimizer.warmup_steps} from step {start}. Shorten the warm-up or train longer."
        )
    return WholeRunDecayWithWarmup(
        optimizer.base_learning_rate,
        training_steps=total_steps if optimizer.training_steps is None else optimizer.training_steps,
        warmup_steps=optimizer.warmup_steps,
        start_warmup_step=start,
        end_learning_rate=optimizer.end_learning_rate,
        power=optimizer.decay_power,
    )


def _decay_steps(optimizer: specs.Sgd | specs.Lars, *, steps_per_epoch: int, total_steps: int) -> int:
    """Steps of the decay, counted from the end of the warm-up: MLPerf's `opt_learning_rate_decay_steps`.

    When the spec leaves them open, the decay ends with the run, as in the reference: T - W + 1 for T steps in all and
    W of warm-up, so the last step, T - 1, has a rate a little above `end_learning_rate`. Published logs count the same
    way: 17956 = 40 * 513 - 5 * 513 + 1 in Google's of round 0.7 at batch 2496.

    Raises:
        UsageError: the warm-up is longer than the run.
    """
    if optimizer.decay_steps is not None:
        return optimizer.decay_steps
    decay_steps = total_steps - optimizer.warmup_epochs * steps_per_epoch + 1
    if decay_steps < 1:
        raise UsageError(
            f"warmup_epochs must be at most {total_steps / steps_per_epoch:g}, the epochs of the run, got "
            f"{optimizer.warmup_epochs}. Shorten the warm-up, train longer, or give decay_steps."
        )
    return decay_steps


def _lars(optimizer: specs.Lars, schedule: PolynomialDecayWithWarmup) -> ReferenceLars:
    return ReferenceLars(
        schedule,
        momentum=float(optimizer.momentum),
        weight_decay=optimizer.weight_decay,
        epsilon=optimizer.epsilon,
    )


def _sgd(optimizer: specs.Sgd, schedule: PolynomialDecayWithWarmup) -> ReferenceSgd:
    return ReferenceSgd(schedule, momentum=float(optimizer.momentum), l2=optimizer.weight_decay)


def _adaptive(optimizer: specs.Lamb | specs.AdamW, schedule: WholeRunDecayWithWarmup) -> ReferenceLamb:
    kind = ReferenceLamb if isinstance(optimizer, specs.Lamb) else ReferenceAdamW
    return kind(
        schedule,
        beta_1=float(optimizer.beta_1),
        beta_2=float(optimizer.beta_2),
        epsilon=optimizer.epsilon,
        weight_decay=optimizer.weight_decay,
        clip_norm=optimizer.clip_norm,
        clip=optimizer.clip,
    )


def _momentum(optimizer: specs.Momentum, *, steps_per_epoch: int) -> ReferenceMomentum:
    schedule = SteppedDecayWithWarmup(
        optimizer.base_learning_rate,
        boundaries=[epoch * steps_per_epoch for epoch in optimizer.decay_epochs],
        decay_factor=optimizer.decay_factor,
        warmup_steps=optimizer.warmup_steps,
        warmup_factor=optimizer.warmup_factor,
    )
    return ReferenceMomentum(schedule, momentum=float(optimizer.momentum), weight_decay=float(optimizer.weight_decay))


def _adam(optimizer: specs.Adam, *, steps_per_epoch: int) -> ReferenceAdam:
    schedule = ConstantAfterWarmup(
        optimizer.base_learning_rate,
        warmup_steps=optimizer.warmup_epochs * steps_per_epoch,
        warmup_factor=float(optimizer.warmup_factor),
    )
    return ReferenceAdam(
        schedule, beta_1=float(optimizer.beta_1), beta_2=float(optimizer.beta_2), epsilon=optimizer.epsilon
    )
