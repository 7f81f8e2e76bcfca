"""Converts the space of a sweep for keras-tuner, and the values that it chose for a specs."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfperf import spec as specs
from tfperf.errors import ConfigError

if TYPE_CHECKING:
    import keras_tuner

# Keras-tuner writes the whole space, and so this stamp, into each of its files.
STAMP = {"division": "internal"}


def check(spec: specs.SweepSpec, *, why_fixed: Callable[[str], str]) -> None:
    """Refuses a sweep over fields that the rules fix or that its search chooses itself.

    Args:
        spec: the sweep.
        why_fixed: field -> why it can't be varied; empty if it can.

    Raises:
        ConfigError: every violation.
    """
    found = (*_missing(spec), *_violations(spec, why_fixed))
    if found:
        raise ConfigError(found)


def _missing(spec: specs.SweepSpec) -> Iterator[str]:
    """What keras-tuner needs for a search and does not install with itself."""
    if spec.search == "bayesian" and importlib.util.find_spec("sklearn") is None:
        yield "search: bayesian needs scikit-learn, which is not installed. Run pip install 'tfperf[bayesian]'."


def _violations(spec: specs.SweepSpec, why_fixed: Callable[[str], str]) -> Iterator[str]:
    for field, _ in spec.space:
        why = why_fixed(field)
        if why:
            yield f"space.{field}: it can't be varied, {why}. Take it out; `set` changes it for all trials."


def parameters(space: tuple[tuple[str, specs.Range], ...]) -> keras_tuner.HyperParameters:
    """The space with the stamp."""
    import keras_tuner

    found = keras_tuner.HyperParameters()
    for name, value in STAMP.items():
        found.Fixed(name, value)
    for field, values in space:
        match values:
            case specs.Choice():
                found.Choice(field, list(_encoded(values)))
            case specs.Uniform():
                found.Float(field, values.low, values.high)
            case specs.LogUniform():
                found.Float(field, values.low, values.high, sampling="log")
            case specs.Integers():
                found.Int(field, values.low, values.high, step=values.step)
    return found


def decoded(space: tuple[tuple[str, specs.Range], ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Field -> value, from what keras-tuner chose."""
    return {field: _decoded(each, values[field]) for field, each in space}


def _encoded(choice: specs.Choice) -> tuple[Any, ...]:
    """Values of one type unchanged; lists, null and mixtures as text, since keras-tuner takes one plain type only."""
    return choice.values if _of_one_type(choice) else tuple(json.dumps(value) for value in choice.values)


def _decoded(values: specs.Range, chosen: Any) -> Any:
    if not isinstance(values, specs.Choice):
        return chosen
    return values.values[_encoded(values).index(chosen)]


def _of_one_type(choice: specs.Choice) -> bool:
    types = {type(value) for value in choice.values}
    return len(types) == 1 and types <= {int, float, str, bool}
