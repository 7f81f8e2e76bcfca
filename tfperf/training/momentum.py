"""SGD with momentum whose velocity leaves the learning rate out, as PyTorch's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class ReferenceMomentum(keras.optimizers.SGD):  # type: ignore[misc]  # Keras has no types
    """SGD with momentum, as the MLPerf reference for SSD uses it.

    For a variable w:

        v = momentum * v + gradient + weight_decay * w
        w = w - learning_rate * v

    In Keras and `ReferenceSgd` the velocity includes the learning rate, which differs where the rate changes. All
    variables decay. Source: `torch.optim.SGD`, in `retired_benchmarks/ssd-v1/ssd/train.py` of mlcommons/training.

    Args:
        learning_rate: a number or a schedule.
        momentum: the momentum of v.
        weight_decay: the share of w that is added to the gradient.
        name: the name of the optimizer.
    """

    opt_name = "sgd"  # in the log
    opt_prefix = None  # of its keys there

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        name: str = "momentum",
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, name=name)
        self.coupled_weight_decay = weight_decay  # Keras applies its own attribute `weight_decay` beside the momentum

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        gradient = ops.cast(ops.convert_to_tensor(gradient), variable.dtype)
        if self.coupled_weight_decay:
            gradient = gradient + self.coupled_weight_decay * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            # In two steps: TensorFlow may add three terms in another order on each replica, and the weights drift apart
            # in their last bit.
            self.assign(velocity, self.momentum * velocity)
            self.assign_add(velocity, gradient)
            gradient = velocity
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * gradient)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        return {key: config[key] for key in ("learning_rate", "momentum", "name")} | {
            "weight_decay": self.coupled_weight_decay
        }
