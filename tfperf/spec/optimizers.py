"""Optimizers and their learning rate schedules."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from tfperf.spec.requirement import require

Clip = Literal["before", "after"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sgd:
    """SGD with momentum under a polynomial schedule with linear warm-up.

    Args:
        base_learning_rate: the rate at the end of the warm-up.
        decay_steps: steps after the warm-up until `end_learning_rate`; None decays until the last step of the run.
        warmup_epochs: epochs of linear rise from 0.
        end_learning_rate: the rate at the end of the decay.
        decay_power: the exponent of the decay.
        momentum: the velocity includes the learning rate: v = momentum * v - rate * gradient.
        weight_decay: coefficient c of c * sum(v^2) over the decayed variables, so the gradient is 2 * c * v: the
            convention of the TF2 reference (mlcommons/training, resnet-tf2).
    """

    base_learning_rate: float
    decay_steps: int | None = None
    warmup_epochs: int = 0
    end_learning_rate: float = 1e-4
    decay_power: float = 2.0
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require(*_rate_checks(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lars:
    """LARS (arXiv:1708.03888) as the MLPerf reference defines it, under the same schedule as `Sgd`.

    Args:
        base_learning_rate: the rate at the end of the warm-up.
        decay_steps: as in `Sgd`.
        warmup_epochs: as in `Sgd`.
        end_learning_rate: as in `Sgd`.
        decay_power: as in `Sgd`.
        momentum: as in `Sgd`.
        weight_decay: coefficient inside the trust ratio. Neither applies to biases and batch normalisation.
        epsilon: added to the denominator of the trust ratio.
    """

    base_learning_rate: float
    decay_steps: int | None = None
    warmup_epochs: int = 5
    end_learning_rate: float = 1e-4
    decay_power: float = 2.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        require(*_rate_checks(self), (self.epsilon >= 0, "epsilon", self.epsilon, "0 or more"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lamb:
    """LAMB (arXiv:1904.00962) as the MLPerf reference for BERT defines it, under that reference's schedule.

    With T training steps, W warm-up steps and the start S of the warm-up, the rate of step s, counted from 0, is

        base * (s - S) / W                                    while s - S < W
        (base - end) * (1 - min(s, T) / T) ** power + end     after that

    The decay counts from step 0, not from the end of the warm-up, so the rate drops when the warm-up ends.

    Args:
        base_learning_rate: the rate that the warm-up approaches and the decay starts from.
        training_steps: T; None is the number of steps of the run.
        warmup_steps: W.
        start_warmup_step: S, 0 or less. With a negative one the first step has part of the warm-up behind it.
        beta_1: decay of the mean of the gradients.
        beta_2: decay of the mean of their squares.
        epsilon: added to the denominator of an update.
        weight_decay: the share of a weight that is added to its update, inside the trust ratio. Biases and layer
            normalisation have neither decay nor trust ratio.
        clip_norm: a longer gradient, over all variables together, is shortened to this norm; None leaves all as they
            are.
        clip: `before` shortens the gradient of each replica and micro-batch, as the reference does by default; `after`
            shortens their mean. The rules allow both.
        end_learning_rate: the rate from step T on.
        decay_power: the exponent of the decay.
    """

    base_learning_rate: float
    training_steps: int | None = None
    warmup_steps: int = 0
    start_warmup_step: int = 0
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    clip: Clip = "before"
    end_learning_rate: float = 0.0
    decay_power: float = 1.0

    def __post_init__(self) -> None:
        start, end = self.start_warmup_step, self.start_warmup_step + self.warmup_steps
        require(
            *_adaptive_checks(self),
            (start <= 0, "start_warmup_step", start, "0 or less, since rates before it would be negative"),
            (
                start > 0 or self.warmup_steps == 0 or end > 0,
                "start_warmup_step",
                start,
                f"more than {-self.warmup_steps}, so that the {self.warmup_steps} warm-up steps reach the first step",
            ),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay (arXiv:1711.05101), for fine-tuning, under the schedule of `Lamb`.

    This is BERT's optimizer for fine-tuning with the bias correction that its first implementation left out: without
    it, the first steps are about three times as large, and fine-tuning on few examples often fails (arXiv:2006.05987).

    Args:
        base_learning_rate: as in `Lamb`.
        training_steps: as in `Lamb`.
        warmup_steps: as in `Lamb`; the warm-up starts at step 0.
        beta_1: as in `Lamb`.
        beta_2: as in `Lamb`.
        epsilon: as in `Lamb`.
        weight_decay: the share of a weight that is added to its update. Biases and layer normalisation don't decay.
        clip_norm: as in `Lamb`.
        clip: as in `Lamb`.
        end_learning_rate: as in `Lamb`.
        decay_power: as in `Lamb`.
    """

    base_learning_rate: float
    training_steps: int | None = None
    warmup_steps: int = 0
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    clip: Clip = "before"
    end_learning_rate: float = 0.0
    decay_power: float = 1.0

    def __post_init__(self) -> None:
        require(*_adaptive_checks(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Momentum:
    """SGD with momentum and a learning rate that falls in steps, as MLPerf's reference for SSD defines them.

    The velocity leaves the learning rate out: v = momentum * v + gradient, w = w - rate * v. With `current` as the base
    rate times `decay_factor` for each of `decay_epochs` that has passed, the rate of step s, counted from 0, is

        current - (warmup_steps - s) * current / (warmup_steps * 2 ** warmup_factor)    for s < warmup_steps
        current                                                                         after that

    Args:
        base_learning_rate: the rate at the end of the warm-up.
        decay_epochs: epochs after each of which the rate is multiplied by `decay_factor`, ascending.
        decay_factor: above 0 and below 1.
        warmup_steps: steps of linear rise.
        warmup_factor: 0 starts the rise at 0, 1 at half the rate, 2 at three quarters.
        momentum: from 0 to below 1.
        weight_decay: the share of every variable, biases and batch normalisation too, that is added to its gradient.
    """

    base_learning_rate: float
    decay_epochs: tuple[int, ...] = (40, 50)
    decay_factor: float = 0.1
    warmup_steps: int = 0
    warmup_factor: int = 0
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        rates = [(name, getattr(self, name)) for name in ("base_learning_rate", "weight_decay")]
        epochs = self.decay_epochs
        require(
            *((math.isfinite(value) and value >= 0, name, value, "0 or more") for name, value in rates),
            (
                all(epoch > 0 for epoch in epochs) and list(epochs) == sorted(set(epochs)),
                "decay_epochs",
                epochs,
                "ascending and 1 or more",
            ),
            (0 < self.decay_factor < 1, "decay_factor", self.decay_factor, "above 0 and below 1"),
            (self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more"),
            (self.warmup_factor >= 0, "warmup_factor", self.warmup_factor, "0 or more"),
            (0 <= self.momentum < 1, "momentum", self.momentum, "0 to below 1"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (arXiv:1412.6980) with a constant learning rate after a linear warm-up, as for MLPerf's RetinaNet.

    Args:
        base_learning_rate: the rate from the end of the warm-up on.
        warmup_epochs: epochs of linear rise.
        warmup_factor: the share of `base_learning_rate` that the rise starts from.
        beta_1: decay of the mean of the gradients.
        beta_2: decay of the mean of their squares.
        epsilon: added to the corrected denominator of an update, as PyTorch does.
    """

    base_learning_rate: float
    warmup_epochs: int = 1
    warmup_factor: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        rate = self.base_learning_rate
        require(
            (math.isfinite(rate) and rate >= 0, "base_learning_rate", rate, "0 or more"),
            (self.warmup_epochs >= 0, "warmup_epochs", self.warmup_epochs, "0 or more"),
            (0 <= self.warmup_factor <= 1, "warmup_factor", self.warmup_factor, "0 to 1"),
            *((0 <= value < 1, name, value, "0 to below 1") for name, value in _betas(self)),
            (math.isfinite(self.epsilon) and self.epsilon > 0, "epsilon", self.epsilon, "more than 0"),
        )


Optimizer = Sgd | Lars | Lamb | AdamW | Momentum | Adam


def _rate_checks(optimizer: Sgd | Lars) -> list[tuple[bool, str, object, str]]:
    rates = [(name, getattr(optimizer, name)) for name in ("base_learning_rate", "end_learning_rate", "weight_decay")]
    steps = optimizer.decay_steps
    return [
        *((math.isfinite(value) and value >= 0, name, value, "0 or more") for name, value in rates),
        (0 <= optimizer.momentum < 1, "momentum", optimizer.momentum, "0 to below 1"),
        (optimizer.warmup_epochs >= 0, "warmup_epochs", optimizer.warmup_epochs, "0 or more"),
        (optimizer.decay_power > 0, "decay_power", optimizer.decay_power, "more than 0"),
        (steps is None or steps > 0, "decay_steps", steps, "1 or more, or null"),
    ]


def _adaptive_checks(optimizer: Lamb | AdamW) -> list[tuple[bool, str, object, str]]:
    rates = [(name, getattr(optimizer, name)) for name in ("base_learning_rate", "end_learning_rate", "weight_decay")]
    steps, norm = optimizer.training_steps, optimizer.clip_norm
    return [
        *((math.isfinite(value) and value >= 0, name, value, "0 or more") for name, value in rates),
        *((0 <= value < 1, name, value, "0 to below 1") for name, value in _betas(optimizer)),
        (math.isfinite(optimizer.epsilon) and optimizer.epsilon > 0, "epsilon", optimizer.epsilon, "more than 0"),
        (optimizer.warmup_steps >= 0, "warmup_steps", optimizer.warmup_steps, "0 or more"),
        (optimizer.decay_power > 0, "decay_power", optimizer.decay_power, "more than 0"),
        (steps is None or steps > 0, "training_steps", steps, "1 or more, or null"),
        (norm is None or (math.isfinite(norm) and norm > 0), "clip_norm", norm, "more than 0, or null"),
    ]


def _betas(optimizer: Lamb | AdamW | Adam) -> list[tuple[str, float]]:
    return [("beta_1", optimizer.beta_1), ("beta_2", optimizer.beta_2)]
