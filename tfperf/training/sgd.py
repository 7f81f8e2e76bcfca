"""SGD with momentum and the weight decay that an L2 penalty in the loss would give."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class ReferenceSgd(keras.optimizers.SGD):  # type: ignore[misc]  # Keras has no types
    """SGD with momentum on the loss plus c * sum(w ** 2) over the decayed variables.

    The penalty is added as its gradient, 2 * c * w, and not to the loss: the same mathematics for less work, and the
    logged loss stays the one that the task names. The factor 2 is the convention of the TF2 reference; the TF1
    reference's c is half as strong. Keras's own `weight_decay` is another thing: it shrinks the weights beside the
    momentum.

        g = gradient + 2 * c * w
        v = momentum * v - learning_rate * g
        w = w + v

    Source: `retired_benchmarks/resnet-tf2/tensorflow2/resnet_runnable.py` of mlcommons/training.

    Args:
        learning_rate: a number or a schedule.
        momentum: the momentum of the velocity v, which includes the learning rate.
        l2: the coefficient c.
        undecayed: a variable whose path contains one of these is not decayed. Biases are.
        name: the name of the optimizer.
    """

    opt_name = "sgd"  # in the log

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        momentum: float = 0.9,
        l2: float = 0.0,
        undecayed: tuple[str, ...] = ("bn",),
        name: str = "sgd",
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, name=name)
        self.l2 = l2
        self.undecayed = tuple(undecayed)

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes a velocity for each variable and notes which are decayed."""
        if self.built:
            return
        super().build(variables)
        self._decayed = tuple(not any(part in variable.path for part in self.undecayed) for variable in variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        if self.l2 and self._decayed[self._get_variable_index(variable)]:
            gradient = ops.cast(gradient, variable.dtype) + 2 * self.l2 * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        return {key: config[key] for key in ("learning_rate", "momentum", "name")} | {
            "l2": self.l2,
            "undecayed": self.undecayed,
        }
