"""The learning rate over the steps of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


class PolynomialDecayWithWarmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A linear rise from 0, then a polynomial fall: the schedule of the MLPerf ResNet reference.

    With W warm-up and D decay steps the rate of step s, counted from 0, is

        base * s / W                                            for s <= W
        (base - end) * (1 - min(s - W, D) / D) ** power + end   for s > W

    Source: `retired_benchmarks/resnet-tf2/tensorflow2/lars_util.py` of mlcommons/training. Without warm-up, where the
    reference divides 0 by 0 at the first step, the decay starts at step 0.

    Args:
        base_learning_rate: the rate after W steps.
        warmup_steps: W.
        decay_steps: D, counted from the end of the warm-up.
        end_learning_rate: the rate from step W + D on.
        power: the exponent of the decay.
    """

    def __init__(
        self,
        base_learning_rate: float,
        *,
        warmup_steps: int,
        decay_steps: int,
        end_learning_rate: float,
        power: float,
    ) -> None:
        self.base_learning_rate = base_learning_rate
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self._decay = keras.optimizers.schedules.PolynomialDecay(
            base_learning_rate, decay_steps, end_learning_rate=end_learning_rate, power=power
        )

    def __call__(self, step: Any) -> Any:
        """The rate of the step, a float32 scalar."""
        step = ops.cast(step, "float32")
        decayed = self._decay(ops.maximum(step - self.warmup_steps, 0.0))
        if self.warmup_steps == 0:
            return decayed
        rising = self.base_learning_rate * step / self.warmup_steps
        return ops.where(step <= self.warmup_steps, rising, decayed)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "base_learning_rate": self.base_learning_rate,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
        }


class WholeRunDecayWithWarmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A polynomial fall from step 0 on, with a linear rise in its place at first: the schedule of the BERT reference.

    With T training steps and W warm-up steps from step S on, the rate of step s, counted from 0, is

        base * (s - S) / W                                      for s - S < W
        (base - end) * (1 - min(s, T) / T) ** power + end       otherwise

    The rate drops at the end of the warm-up, to what the fall has reached by then. Source:
    `retired_benchmarks/bert/optimization.py` of mlcommons/training.

    Args:
        base_learning_rate: the rate that the rise approaches and the fall starts from.
        training_steps: T.
        warmup_steps: W.
        start_warmup_step: S, which may be negative.
        end_learning_rate: the rate from step T on.
        power: the exponent of the fall.
    """

    def __init__(
        self,
        base_learning_rate: float,
        *,
        training_steps: int,
        warmup_steps: int = 0,
        start_warmup_step: int = 0,
        end_learning_rate: float = 0.0,
        power: float = 1.0,
    ) -> None:
        self.base_learning_rate = base_learning_rate
        self.training_steps = training_steps
        self.warmup_steps = warmup_steps
        self.start_warmup_step = start_warmup_step
        self.end_learning_rate = end_learning_rate
        self.power = power
        self._decay = keras.optimizers.schedules.PolynomialDecay(
            base_learning_rate, training_steps, end_learning_rate=end_learning_rate, power=power
        )

    def __call__(self, step: Any) -> Any:
        """The rate of the step, a float32 scalar."""
        step = ops.cast(step, "float32")
        decayed = self._decay(step)
        if self.warmup_steps == 0:
            return decayed
        warmed = step - self.start_warmup_step
        return ops.where(warmed < self.warmup_steps, self.base_learning_rate * warmed / self.warmup_steps, decayed)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "base_learning_rate": self.base_learning_rate,
            "training_steps": self.training_steps,
            "warmup_steps": self.warmup_steps,
            "start_warmup_step": self.start_warmup_step,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
        }


class SteppedDecayWithWarmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A rate that falls in steps, with a linear rise at first: the schedule of the SSD reference.

    With W warm-up steps and `current` as the base rate times the decay factor for each boundary that has been reached,
    the rate of step s, counted from 0, is

        current - (W - s) * current / (W * 2 ** warmup_factor)  for s < W
        current                                                 otherwise

    Source: `retired_benchmarks/ssd-v1/ssd/train.py` of mlcommons/training.

    Args:
        base_learning_rate: the rate before the first boundary.
        boundaries: the first step of each lower rate.
        decay_factor: what the rate is multiplied by at each boundary.
        warmup_steps: W.
        warmup_factor: how little the rise covers: 0 all of the rate, 1 half of it.
    """

    def __init__(
        self,
        base_learning_rate: float,
        *,
        boundaries: Sequence[int],
        decay_factor: float = 0.1,
        warmup_steps: int = 0,
        warmup_factor: int = 0,
    ) -> None:
        self.base_learning_rate = base_learning_rate
        self.boundaries = tuple(boundaries)
        self.decay_factor = decay_factor
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: Any) -> Any:
        """The rate of the step, a float32 scalar."""
        step = ops.cast(step, "float32")
        current = ops.full_like(step, self.base_learning_rate)
        for boundary in self.boundaries:
            current = ops.where(step >= boundary, current * self.decay_factor, current)
        if self.warmup_steps == 0:
            return current
        missing = (self.warmup_steps - step) / (self.warmup_steps * 2.0**self.warmup_factor)
        return ops.where(step < self.warmup_steps, current * (1 - missing), current)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "base_learning_rate": self.base_learning_rate,
            "boundaries": self.boundaries,
            "decay_factor": self.decay_factor,
            "warmup_steps": self.warmup_steps,
            "warmup_factor": self.warmup_factor,
        }


class ConstantAfterWarmup(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A linear rise to a constant rate: the schedule of the RetinaNet reference.

    With W warm-up steps the rate of step s, counted from 0, is

        base * (warmup_factor * (1 - s / W) + s / W)    for s < W
        base                                            otherwise

    Source: `warmup_lr_scheduler` in `retired_benchmarks/retinanet/ssd/utils.py` of mlcommons/training.

    Args:
        base_learning_rate: the rate from step W on.
        warmup_steps: W.
        warmup_factor: the share of the rate that the rise starts from.
    """

    def __init__(self, base_learning_rate: float, *, warmup_steps: int = 0, warmup_factor: float = 1e-3) -> None:
        self.base_learning_rate = base_learning_rate
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: Any) -> Any:
        """The rate of the step, a float32 scalar."""
        step = ops.cast(step, "float32")
        if self.warmup_steps == 0:
            return ops.full_like(step, self.base_learning_rate)
        share = ops.minimum(step / self.warmup_steps, 1.0)
        return self.base_learning_rate * (self.warmup_factor * (1 - share) + share)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "base_learning_rate": self.base_learning_rate,
            "warmup_steps": self.warmup_steps,
            "warmup_factor": self.warmup_factor,
        }
