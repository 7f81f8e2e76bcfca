"""Whether a model can be the one of the MLPerf benchmark that the caller named."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfperf import benchmarks
from tfperf.callback.run_directory import RunIdentity
from tfperf.errors import ArgumentError

_TOLERANCE = 0.01  # another number of classes, or biases that the reference lacks


def check(model: Any, identity: RunIdentity) -> None:
    """Refuses a model whose size is not that of the benchmark; any model will do for benchmarks that aren't MLPerf's.

    Args:
        model: a Keras model that is built.
        identity: the benchmark and the goal.

    Raises:
        ArgumentError: it has more or fewer trainable parameters, or is no model.
    """
    benchmark = identity.benchmark
    if benchmark is None or not benchmarks.is_mlperf(benchmark):
        return
    expected = benchmarks.training_task(benchmark).parameters
    if expected is None:
        return
    if not isinstance(model, keras.Model):
        raise ArgumentError(
            f"benchmark={benchmark.name!r} needs the model: write start(model), so that its size can be checked."
        )
    found = int(sum(np.prod(variable.shape) for variable in model.trainable_variables))
    if abs(found - expected) > _TOLERANCE * expected:
        raise ArgumentError(
            f"benchmark={benchmark.name!r} is for a model of {expected:,} trainable parameters, this one has "
            f"{found:,}. Leave out benchmark, and set monitor and target."
        )
