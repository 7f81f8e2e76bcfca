"""The configuration of a `fit` as plain values, for its result: the goal, the model and the optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfperf.callback import arguments
from tfperf.callback.run_directory import RunIdentity
from tfperf.training import hyperparameters, observations


def of(model: keras.Model, identity: RunIdentity, *, stop_at_target: bool, params: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run that begins.

    Args:
        model: the compiled model.
        identity: the benchmark and the goal.
        stop_at_target: whether training ends at the target.
        params: Keras's `params` of the call of `fit`; empty before it.
    """
    policy = getattr(model, "dtype_policy", None)
    return {
        "benchmark": identity.name,
        "monitor": identity.goal.metric and f"{arguments.PREFIX}{identity.goal.metric}",
        "target": identity.goal.target,
        "mode": identity.goal.mode,
        "stop_at_target": stop_at_target,
        "model": of_model(model),
        "precision": keras.config.dtype_policy().name if policy is None else policy.name,
        "steps_per_execution": model.steps_per_execution,
        "jit_compile": model.jit_compile,
        # Which optimizer a custom step uses shows only when it runs.
        "optimizer": of_optimizer(model.optimizer) if observations.has_keras_steps(model) else {},
        **of_call(params),
    }


def of_call(params: Mapping[str, Any]) -> dict[str, Any]:
    """How long `fit` trains."""
    return {"epochs": params.get("epochs"), "steps_per_epoch": params.get("steps")}


def of_model(model: keras.Model) -> dict[str, Any]:
    """Name and size; a model without an input shape has none before its first step."""
    return {"name": model.name, "parameters": model.count_params() if model.built else None}


def of_optimizer(optimizer: Any) -> dict[str, Any]:
    """The values of an optimizer, and the arguments of its schedule."""
    if optimizer is None:
        return {}
    schedule = hyperparameters.schedule(optimizer)
    return {
        **hyperparameters.read(optimizer),
        **hyperparameters.accumulation(optimizer),
        "schedule": {name: value for name, value in schedule.items() if isinstance(value, (int, float, str))},
    }
