"""From the optimizer that a spec asks for to the Keras optimizer that does it."""

from __future__ import annotations

import keras

from tfperf import spec
from tfperf.errors import UsageError
from tfperf.training.lars import Lars
from tfperf.training.loss_scale import LossScale
from tfperf.training.schedules import PolynomialDecayWithWarmup
from tfperf.training.sgd import Sgd


def build(
    optimizer: spec.Optimizer,
    *,
    steps_per_epoch: int,
    max_epochs: int,
    precision: spec.Precision = "float32",
) -> keras.optimizers.Optimizer:
    """The Keras optimizer, to be called in the strategy's scope.

    It has no gradient accumulation of its own: Keras's branches on the device, which a strategy of several replicas
    refuses, and its schedule counts micro-batches. Average the gradients first and apply them once a step.

    Args:
        optimizer: what is asked for.
        steps_per_epoch: optimizer steps in an epoch.
        max_epochs: epochs that the schedule spans when `decay_steps` is not given.
        precision: `mixed_float16` wraps the optimizer in a dynamic loss scale.

    Raises:
        UsageError: the warm-up leaves no step to decay in.
    """
    schedule = PolynomialDecayWithWarmup(
        optimizer.base_learning_rate,
        warmup_steps=optimizer.warmup_epochs * steps_per_epoch,
        decay_steps=decay_steps(optimizer, steps_per_epoch, max_epochs=max_epochs),
        end_learning_rate=optimizer.end_learning_rate,
        power=optimizer.decay_power,
    )
    built = _lars(optimizer, schedule) if isinstance(optimizer, spec.Lars) else _sgd(optimizer, schedule)
    return LossScale(built) if precision == "mixed_float16" else built


def decay_steps(optimizer: spec.Optimizer, steps_per_epoch: int, *, max_epochs: int) -> int:
    """Steps of the decay, counted from the end of the warm-up: what MLPerf logs as `opt_learning_rate_decay_steps`.

    When the spec leaves them open the decay ends with the last epoch, as in the reference: T - W + 1 for T steps in
    all and W of warm-up, so the last step, T - 1, has a rate a little above `end_learning_rate`. Published
    logs count alike: 17956 = 40 * 513 - 5 * 513 + 1 in Google's of round 0.7 at batch 2496.

    Raises:
        UsageError: the warm-up is longer than the run.
    """
    if optimizer.decay_steps is not None:
        return optimizer.decay_steps
    if optimizer.warmup_epochs > max_epochs:
        raise UsageError(
            f"warmup_epochs must be at most max_epochs={max_epochs}, got {optimizer.warmup_epochs}. "
            "Shorten the warm-up, train longer, or give decay_steps."
        )
    return (max_epochs - optimizer.warmup_epochs) * steps_per_epoch + 1


def _lars(optimizer: spec.Lars, schedule: PolynomialDecayWithWarmup) -> Lars:
    return Lars(
        schedule,
        momentum=float(optimizer.momentum),
        weight_decay=optimizer.weight_decay,
        epsilon=optimizer.epsilon,
    )


def _sgd(optimizer: spec.Sgd, schedule: PolynomialDecayWithWarmup) -> Sgd:
    return Sgd(schedule, momentum=float(optimizer.momentum), l2=optimizer.weight_decay)
