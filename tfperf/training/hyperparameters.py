"""The hyper-parameters of a Keras optimizer under the keys of MLPerf's logs: what was built is what is logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

# Under the optimizer's own name: MLPerf's key -> Keras's attribute.
_NAMED = {
    "adam": {"opt_adam_beta_1": "beta_1", "opt_adam_beta_2": "beta_2", "opt_adam_epsilon": "epsilon"},
    "adamw": {"opt_adamw_beta_1": "beta_1", "opt_adamw_beta_2": "beta_2", "opt_adamw_epsilon": "epsilon"},
    "lamb": {"opt_lamb_beta_1": "beta_1", "opt_lamb_beta_2": "beta_2", "opt_lamb_epsilon": "epsilon"},
    "adagrad": {"opt_adagrad_epsilon": "epsilon"},
}
_DECAYS = {"adamw": "opt_adamw_weight_decay", "lamb": "opt_lamb_weight_decay_rate"}
# MLPerf's key -> the argument of a schedule that counts the steps of the whole run.
_WHOLE_RUN = {
    "opt_learning_rate_training_steps": "training_steps",
    "opt_learning_rate_warmup_steps": "warmup_steps",
}
# For LAMB, MLPerf logs the warm-up under two keys.
_WHOLE_RUN_OF_LAMB = {
    **_WHOLE_RUN,
    "num_warmup_steps": "warmup_steps",
    "start_warmup_step": "start_warmup_step",
    "opt_lamb_learning_rate_decay_poly_power": "power",
}
_PREFIXES = {"sgd": "sgd_opt", "lars": "lars_opt"}
_WARMUP_EPOCHS = {"sgd": "opt_learning_rate_warmup_epochs", "lars": "lars_opt_learning_rate_warmup_epochs"}
_BASE_RATES = ("base_learning_rate", "initial_learning_rate")


def read(optimizer: Any, *, steps_per_epoch: int | None = None) -> dict[str, Any]:
    """The hyper-parameters of an optimizer; unknown ones are left out.

    The rate under a schedule is the schedule's base. Other values of a schedule are read only where MLPerf has keys
    for them.

    Args:
        optimizer: a Keras optimizer, or None.
        steps_per_epoch: optimizer steps in an epoch, in which the log counts the warm-up; None if unknown.

    Returns:
        Plain values by MLLOG key, `opt_name` first.
    """
    inner = _without_loss_scale(optimizer)
    if not isinstance(inner, keras.optimizers.Optimizer):
        return {}
    name = str(getattr(inner, "opt_name", type(inner).__name__.lower()))
    if getattr(inner, "opt_prefix", _PREFIXES.get(name)):
        found = _with_schedule(inner, name, steps_per_epoch=steps_per_epoch)
    else:
        found = _with_attributes(inner, name, steps_per_epoch=steps_per_epoch)
    plain = {key: _plain(value) for key, value in found.items()}
    return {"opt_name": name, **{key: value for key, value in plain.items() if value is not None}}


def accumulation(optimizer: Any) -> dict[str, int]:
    """Keras's own gradient accumulation, as it is logged; nothing without an optimizer."""
    inner = _without_loss_scale(optimizer)
    if not isinstance(inner, keras.optimizers.Optimizer):
        return {}
    return {"gradient_accumulation_steps": int(inner.gradient_accumulation_steps or 1)}


def schedule(optimizer: Any) -> Mapping[str, Any]:
    """The constructor's arguments of the schedule of the learning rate; empty when the rate is a number."""
    rate = getattr(_without_loss_scale(optimizer), "_learning_rate", None)
    return rate.get_config() if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else {}


def learning_rate(optimizer: Any) -> float | None:
    """The current learning rate, under any strategy; None if it isn't an optimizer of Keras. Waits for the device."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return None
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _without_loss_scale(optimizer: Any) -> Any:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _with_attributes(optimizer: Any, name: str, *, steps_per_epoch: int | None) -> dict[str, Any]:
    return {
        "opt_base_learning_rate": _base_rate(optimizer),
        **{key: getattr(optimizer, attribute, None) for key, attribute in _NAMED.get(name, {}).items()},
        _DECAYS.get(name, "opt_weight_decay"): _weight_decay(optimizer),
        **_of_whole_run(schedule(optimizer), name),
        **_of_detectors(schedule(optimizer), steps_per_epoch),
        "opt_gradient_clip_norm": _clip_norm(optimizer),
    }


def _of_whole_run(rate: Mapping[str, Any], name: str) -> dict[str, Any]:
    if "training_steps" not in rate:
        return {}
    keys = _WHOLE_RUN_OF_LAMB if name == "lamb" else _WHOLE_RUN
    return {key: rate.get(argument) for key, argument in keys.items()}


def _of_detectors(rate: Mapping[str, Any], steps_per_epoch: int | None) -> dict[str, Any]:
    """The schedules of SSD, whose warm-up MLPerf logs in steps, and of RetinaNet, where it counts epochs."""
    if "warmup_factor" not in rate:
        return {}
    if "boundaries" not in rate:
        warmup: dict[str, Any] = {"opt_learning_rate_warmup_epochs": _warmup_epochs(rate, steps_per_epoch)}
    else:
        in_epochs = [_epochs(boundary, steps_per_epoch) for boundary in rate["boundaries"]]
        warmup = {
            "opt_learning_rate_warmup_steps": rate["warmup_steps"],
            "opt_learning_rate_decay_boundary_epochs": None if None in in_epochs else in_epochs,
        }
    return {"opt_learning_rate_warmup_factor": rate["warmup_factor"], **warmup}


def _clip_norm(optimizer: Any) -> Any:
    """The norm to which the gradient of all variables together is clipped, by tfperf's optimizers or by Keras."""
    return getattr(optimizer, "clip_norm", None) or optimizer.global_clipnorm


def _with_schedule(optimizer: Any, name: str, *, steps_per_epoch: int | None) -> dict[str, Any]:
    rate, prefix = schedule(optimizer), _PREFIXES[name]
    return {
        f"{prefix}_base_learning_rate": _base_rate(optimizer),
        f"{prefix}_end_learning_rate": rate.get("end_learning_rate"),
        f"{prefix}_learning_rate_decay_poly_power": rate.get("power"),
        f"{prefix}_learning_rate_decay_steps": rate.get("decay_steps") if "power" in rate else None,
        f"{prefix}_momentum": getattr(optimizer, "momentum", None),
        f"{prefix}_weight_decay": _weight_decay(optimizer),
        _WARMUP_EPOCHS[name]: _warmup_epochs(rate, steps_per_epoch),
        **({"lars_epsilon": getattr(optimizer, "epsilon", None)} if name == "lars" else {}),
    }


def _warmup_epochs(rate: Mapping[str, Any], steps_per_epoch: int | None) -> int | float | None:
    return _epochs(rate.get("warmup_steps"), steps_per_epoch)


def _epochs(steps: int | None, steps_per_epoch: int | None) -> int | float | None:
    """Steps in epochs; None if either is unknown."""
    if steps_per_epoch is None or steps is None:
        return None
    whole, rest = divmod(steps, steps_per_epoch)
    return int(whole) if not rest else float(steps / steps_per_epoch)


def _base_rate(optimizer: Any) -> Any:
    rate = schedule(optimizer)
    if not rate:
        return optimizer.learning_rate if isinstance(optimizer.learning_rate, keras.Variable) else None
    return next((rate[name] for name in _BASE_RATES if name in rate), None)


def _weight_decay(optimizer: Any) -> Any:
    """The coefficient of the penalty in tfperf's optimizers, Keras's weight decay in others; 0 without either."""
    names = ("l2", "coupled_weight_decay", "weight_decay")
    return next((found for found in (getattr(optimizer, name, None) for name in names) if found), 0.0)


def _plain(value: Any) -> Any:
    if isinstance(value, keras.Variable):
        return float(str(keras.ops.convert_to_numpy(value)))  # 0.1 in float32 is 0.1 to its owner
    return value if isinstance(value, (int, float, str, list)) or value is None else float(value)
