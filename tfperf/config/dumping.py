"""Specs as plain values and as yaml."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping
from typing import Any

from tfperf import spec as specs
from tfperf.config import strict_yaml
from tfperf.config.keys import key_of, members
from tfperf.field_types import hints_of

# The ranges of a sweep by yaml key, each with the fields that its list holds.
RANGES: Mapping[str, tuple[type[Any], tuple[str, ...]]] = {
    "choice": (specs.Choice, ("values",)),
    "uniform": (specs.Uniform, ("low", "high")),
    "log_uniform": (specs.LogUniform, ("low", "high")),
    "integers": (specs.Integers, ("low", "high", "step")),
}


def dump(spec: specs.TrainSpec | specs.InferSpec | specs.SweepSpec | specs.EvaluateSpec) -> str:
    """The spec as yaml that `load` reads back to an equal spec."""
    return strict_yaml.dump(as_dict(spec))


def as_dict(value: Any) -> Any:
    """The spec as plain values. One of several dataclasses stands under the key that names its class."""
    if isinstance(value, specs.SweepSpec):
        space = {field: _plain_range(values) for field, values in value.space}
        rest = {field.name: as_dict(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {**rest, "space": space}
    if isinstance(value, specs.Data):
        return {**_plain_fields(value), "source": {key_of(type(value.source)): as_dict(value.source)}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value)
    if isinstance(value, enum.Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def value_of(base: specs.TrainSpec | specs.InferSpec, field: str) -> Any:
    """The value of a dotted field, such as `optimizer.sgd.momentum`, as a plain value.

    Raises:
        KeyError: there is no such field.
    """
    found = as_dict(base)
    for key in field.split("."):
        found = found[key]
    return found


def _plain_fields(value: Any) -> dict[str, Any]:
    hints = hints_of(type(value))
    return {field.name: _plain(getattr(value, field.name), hints[field.name]) for field in dataclasses.fields(value)}


def _plain(value: Any, hint: Any) -> Any:
    if isinstance(value, tuple) and typing.get_origin(hint) is tuple:
        (of_each, *_) = typing.get_args(hint)
        return [_plain(each, of_each) for each in value]
    plain = as_dict(value)
    return {key_of(type(value)): plain} if dataclasses.is_dataclass(value) and members(hint) else plain


def _plain_range(values: specs.Range) -> dict[str, Any]:
    name, fields = next((name, fields) for name, (kind, fields) in RANGES.items() if isinstance(values, kind))
    if isinstance(values, specs.Choice):
        return {name: list(values.values)}
    return {name: [getattr(values, field) for field in fields]}
