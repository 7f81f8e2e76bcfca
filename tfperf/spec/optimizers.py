"""Optimizers and their learning rate schedules."""

from __future__ import annotations

import dataclasses
import math

from tfperf.spec.requirement import require


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


Optimizer = Sgd | Lars


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
