"""The hyper-parameters in the log of a run, as they are read from the optimizer that was built."""

import dataclasses
from typing import Any

from tfperf import spec
from tfperf.training import hyperparameters, optimizers


def logged(asked: spec.TrainSpec, *, decay_steps: int = 20626, steps_per_epoch: int = 312) -> dict[str, Any]:
    """The values by MLLOG key of the spec's optimizer; one of ResNet's has this many decay steps."""
    optimizer = asked.optimizer
    if isinstance(optimizer, spec.Sgd | spec.Lars):
        optimizer = dataclasses.replace(optimizer, decay_steps=decay_steps)
    built = optimizers.build(optimizer, steps_per_epoch=steps_per_epoch, total_steps=asked.max_steps or 1)
    return hyperparameters.read(built, steps_per_epoch=steps_per_epoch)
