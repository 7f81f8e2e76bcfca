"""Updates of mirrored variables as one function on each device, which XLA can compile.

Variables of several devices can't be updated within a compiled replica step: the strategy would leave XLA for each of
them. In an update context every variable stands for its part on one device, so one compiled function can update them
all there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


def update(
    variables: Sequence[keras.Variable],
    change: Callable[..., None],
    values: Sequence[tf.Tensor],
    *,
    jit_compile: bool = True,
) -> None:
    """Runs `change(*values)` on each device. Call it in a replica context, with equal values on each replica.

    Args:
        variables: variables on the devices that are meant, at least one.
        change: updates any variables of these devices.
        values: what `change` takes.
        jit_compile: whether XLA compiles it.
    """

    def on_all(strategy: tf.distribute.Strategy, *values: Any) -> None:
        def on_one(part: tf.Variable, *values: tf.Tensor) -> None:
            del part  # of the variable that says which devices there are
            # A new function on each device: what it captures are the variables' parts there.
            tf.function(change, jit_compile=jit_compile, autograph=False)(*values)

        strategy.extended.update(variables[0].value, on_one, args=values, group=False)

    tf.distribute.get_replica_context().merge_call(on_all, args=tuple(values))
