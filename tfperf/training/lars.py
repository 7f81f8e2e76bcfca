"""LARS: SGD with momentum and a rate for each variable, in proportion to the variable's norm."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops


class ReferenceLars(keras.optimizers.SGD):  # type: ignore[misc]  # Keras has no types
    """Layer-wise adaptive rate scaling (arXiv:1708.03888), as the MLPerf ResNet reference defines it.

    For a variable w with gradient g, weight decay c and trust coefficient eeta:

        trust = eeta * |w| / (|g| + c * |w| + epsilon), or 1 where |w| or |g| is 0
        v = momentum * v - learning_rate * trust * (g + c * w)
        w = w + v

    An excluded variable has trust 1 and no decay. Source: `lars_optimizer.py` beside the reference's model in
    mlcommons/training, whose epsilon of 0 silently becomes 1e-7; here 0 is 0.

    Args:
        learning_rate: a number or a schedule.
        momentum: the momentum of the velocity v, which includes the learning rate.
        weight_decay: c.
        eeta: the trust coefficient.
        epsilon: added to the denominator.
        excluded: a variable whose path contains one of these is excluded.
        name: the name of the optimizer.
    """

    opt_name = "lars"  # in the log

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eeta: float = 0.001,
        epsilon: float = 0.0,
        excluded: tuple[str, ...] = ("batch_normalization", "bias", "bn"),
        name: str = "lars",
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, name=name)
        self.coupled_weight_decay = (
            weight_decay  # Keras applies its own attribute `weight_decay` outside the trust ratio
        )
        self.eeta = eeta
        self.epsilon = epsilon
        self.excluded = tuple(excluded)

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes a velocity for each variable and notes which have a trust ratio."""
        if self.built:
            return
        super().build(variables)
        self._adapted = tuple(not any(part in variable.path for part in self.excluded) for variable in variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        gradient = ops.cast(tf.convert_to_tensor(gradient), variable.dtype)  # a sparse one may name a row twice
        if self._adapted[self._get_variable_index(variable)]:
            learning_rate = ops.cast(learning_rate, variable.dtype) * self._trust(gradient, variable)
            gradient = gradient + self.coupled_weight_decay * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        return {key: config[key] for key in ("learning_rate", "momentum", "name")} | {
            "weight_decay": self.coupled_weight_decay,
            "eeta": self.eeta,
            "epsilon": self.epsilon,
            "excluded": self.excluded,
        }

    def _trust(self, gradient: Any, variable: Any) -> Any:
        weight_norm, gradient_norm = _norm(variable), _norm(gradient)
        denominator = gradient_norm + self.coupled_weight_decay * weight_norm + self.epsilon
        trust = ops.divide_no_nan(self.eeta * weight_norm, denominator)
        return ops.where((weight_norm > 0) & (gradient_norm > 0), trust, 1.0)


def _norm(values: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(values)))
