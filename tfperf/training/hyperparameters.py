"""What a Keras optimizer says of itself, under the keys of MLPerf's logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

# What MLPerf asks for under the optimizer's own name, and Keras's name of it.
_OWN = {
    "adam": {"opt_adam_beta_1": "beta_1", "opt_adam_beta_2": "beta_2", "opt_adam_epsilon": "epsilon"},
    "adamw": {
        "opt_adamw_beta_1": "beta_1",
        "opt_adamw_beta_2": "beta_2",
        "opt_adamw_epsilon": "epsilon",
        "opt_adamw_weight_decay": "weight_decay",
    },
    "lamb": {
        "opt_lamb_beta_1": "beta_1",
        "opt_lamb_beta_2": "beta_2",
        "opt_lamb_epsilon": "epsilon",
        "opt_lamb_weight_decay_rate": "weight_decay",
    },
    "adagrad": {"opt_adagrad_epsilon": "epsilon"},
}
_PREFIXED = {"sgd": "sgd_opt", "lars": "lars_opt"}
_BASE_RATES = ("base_learning_rate", "initial_learning_rate")


def read(optimizer: Any) -> dict[str, Any]:
    """The hyper-parameters of an optimizer; what it does not say is left out.

    A rate that a schedule gives is the schedule's base, and nothing more is said of schedules that MLPerf has no keys
    for.

    Args:
        optimizer: of Keras, or None.

    Returns:
        Plain values by MLLOG key, `opt_name` first.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    if not isinstance(inner, keras.optimizers.Optimizer):
        return {}
    name = type(inner).__name__.lower()
    steps = getattr(inner, "gradient_accumulation_steps", None) or 1
    prefix = _PREFIXED.get(name)
    found = _of_kind(inner, name) if prefix is None else _prefixed(inner, prefix)
    plain = {key: _plain(value) for key, value in found.items()}
    return {"opt_name": name, **{key: value for key, value in plain.items() if value is not None}} | {
        "gradient_accumulation_steps": int(steps)
    }


def schedule(optimizer: Any) -> Mapping[str, Any]:
    """The constructor's arguments of the schedule of the learning rate; empty when the rate is a number."""
    rate = getattr(getattr(optimizer, "inner_optimizer", optimizer), "_learning_rate", None)
    return rate.get_config() if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else {}


def _of_kind(optimizer: Any, name: str) -> dict[str, Any]:
    own = {key: getattr(optimizer, attribute, None) for key, attribute in _OWN.get(name, {}).items()}
    decay = {} if any("weight_decay" in key for key in own) else {"opt_weight_decay": _weight_decay(optimizer)}
    return {"opt_base_learning_rate": _base_rate(optimizer), **own, **decay}


def _prefixed(optimizer: Any, prefix: str) -> dict[str, Any]:
    rate = schedule(optimizer)
    epsilon = {"lars_epsilon": getattr(optimizer, "epsilon", None)} if prefix == "lars_opt" else {}
    return {
        f"{prefix}_base_learning_rate": _base_rate(optimizer),
        f"{prefix}_end_learning_rate": rate.get("end_learning_rate"),
        f"{prefix}_learning_rate_decay_poly_power": rate.get("power"),
        f"{prefix}_learning_rate_decay_steps": rate.get("decay_steps") if "power" in rate else None,
        f"{prefix}_momentum": getattr(optimizer, "momentum", None),
        f"{prefix}_weight_decay": _weight_decay(optimizer),
        **epsilon,
    }


def _base_rate(optimizer: Any) -> Any:
    rate = schedule(optimizer)
    if not rate:
        return optimizer.learning_rate if isinstance(optimizer.learning_rate, keras.Variable) else None
    return next((rate[name] for name in _BASE_RATES if name in rate), None)


def _weight_decay(optimizer: Any) -> Any:
    """Of tfperf's own optimizers the coefficient of their penalty, of others Keras's; none is 0."""
    names = ("l2", "coupled_weight_decay", "weight_decay")
    return next((found for found in (getattr(optimizer, name, None) for name in names) if found), 0.0)


def _plain(value: Any) -> Any:
    if isinstance(value, keras.Variable):
        return float(str(keras.ops.convert_to_numpy(value)))  # 0.1 in float32 is 0.1 to its owner
    return value if isinstance(value, (int, float, str)) or value is None else float(value)
