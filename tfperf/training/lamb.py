"""LAMB: Adam with a rate for each variable, in proportion to the variable's norm. Without that rate, it is AdamW."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfperf import spec as specs
from tfperf.training import clipping


class ReferenceLamb(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras has no types
    """Layer-wise adaptive moments (arXiv:1904.00962), as the MLPerf reference for BERT defines them.

    For a variable w with gradient g, in step t, counted from 1:

        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        u = m / (1 - beta_1 ** t) / (sqrt(v / (1 - beta_2 ** t)) + epsilon) + weight_decay * w
        trust = |w| / |u|, or 1 where |w| or |u| is 0
        w = w - learning_rate * trust * u

    An excluded variable has trust 1 and no decay. Keras's own LAMB differs: it decays outside the trust ratio, and it
    adapts and decays every variable. Source: `retired_benchmarks/bert/lamb_optimizer_v1.py` of mlcommons/training.

    Gradients are clipped by their global norm before the replicas are summed, or after. The reference clips what each
    replica finds in each micro-batch, or the sum. Here the latter is their mean: LAMB's updates don't depend on the
    scale of all gradients, but clipping does.

    Args:
        learning_rate: a number or a schedule.
        beta_1: decay of m.
        beta_2: decay of v.
        epsilon: added to the denominator.
        weight_decay: the decay inside the trust ratio.
        clip_norm: longest gradient over all variables; None for any.
        clip: whether each replica's gradient is clipped `before` the sum or the mean `after` it.
        excluded: a variable whose path contains one of these is excluded.
        name: the name of the optimizer.
    """

    opt_name = "lamb"  # in the log
    _adapts = True

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip: specs.Clip = "before",
        excluded: tuple[str, ...] = ("LayerNorm", "layer_norm", "bias"),
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name=name or self.opt_name)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.coupled_weight_decay = weight_decay  # Keras applies its own attribute `weight_decay` outside the ratio
        self.clip_norm = clip_norm
        self.clip = clip
        self.excluded = tuple(excluded)

    def build(self, variables: list[keras.Variable]) -> None:
        """Makes both moments of each variable and notes which variables are excluded."""
        if self.built:
            return
        super().build(variables)
        self._means, self._squares = self.add_optimizer_variables(variables, ["mean", "square"])
        self._is_excluded = tuple(any(part in variable.path for part in self.excluded) for variable in variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable."""
        index = self._get_variable_index(variable)
        mean, square = self._means[index], self._squares[index]
        gradient = ops.cast(tf.convert_to_tensor(gradient), variable.dtype)  # a sparse one may name a row twice
        step = ops.cast(self.iterations + 1, variable.dtype)
        self.assign(mean, self.beta_1 * mean + (1 - self.beta_1) * gradient)
        self.assign(square, self.beta_2 * square + (1 - self.beta_2) * ops.square(gradient))
        corrected_square = square / _one_minus_power(self.beta_2, step)
        update = mean / _one_minus_power(self.beta_1, step) / (ops.sqrt(corrected_square) + self.epsilon)
        rate = ops.cast(learning_rate, variable.dtype)
        if not self._is_excluded[index]:
            update = update + self.coupled_weight_decay * variable
            rate = rate * _trust(variable, update) if self._adapts else rate
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        return {key: config[key] for key in ("learning_rate", "name")} | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "weight_decay": self.coupled_weight_decay,
            "clip_norm": self.clip_norm,
            "clip": self.clip,
            "excluded": self.excluded,
        }

    def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
        """Keras calls it on each replica, before the sum."""
        replica = tf.distribute.get_replica_context()
        return clipping.of_replica(self, grads, replicas=replica.num_replicas_in_sync if replica else 1)

    def _all_reduce_sum_gradients(self, grads_and_vars: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """Keras calls it on each replica and moves the variables by the result."""
        sums, variables = zip(*super()._all_reduce_sum_gradients(grads_and_vars), strict=True)
        return list(zip(clipping.of_sum(self, sums), variables, strict=True))


class ReferenceAdamW(ReferenceLamb):
    """Adam with decoupled weight decay (arXiv:1711.05101): LAMB with a trust ratio of 1.

    Unlike Keras's AdamW it excludes variables by their paths, adds epsilon to the corrected denominator, as PyTorch
    does, and can clip what each replica finds. Unlike the optimizer of BERT's first implementation it corrects the
    bias of the moments.
    """

    opt_name = "adamw"
    _adapts = False


class ReferenceAdam(ReferenceAdamW):
    """Adam (arXiv:1412.6980) with epsilon added to the corrected denominator, as PyTorch's: AdamW without decay.

    Keras's Adam adds epsilon before the correction. MLPerf's rules accept both.
    """

    opt_name = "adam"


def _one_minus_power(base: float, exponent: Any) -> Any:
    """1 - base ** exponent, exact to float32 also for a base near 1, where the power would be rounded."""
    return -ops.expm1(exponent * math.log(base)) if base > 0 else ops.ones_like(exponent)


def _trust(variable: Any, update: Any) -> Any:
    weight_norm, update_norm = _norm(variable), _norm(update)
    ratio = ops.divide_no_nan(weight_norm, update_norm)
    return ops.where((weight_norm > 0) & (update_norm > 0), ratio, ops.ones_like(ratio))


def _norm(values: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(values)))
