"""The space of a sweep as keras-tuner knows it, and its values back as a spec takes them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tfperf import spec
from tfperf.errors import ConfigError

if TYPE_CHECKING:
    import keras_tuner

# Keras-tuner writes the whole space into each of its files, and so this stamp.
STAMP = {"division": "internal"}


def check(asked: spec.SweepSpec, *, why_fixed: Callable[[str], str]) -> None:
    """Refuses a sweep over fields that the rules fix, or that its search decides on itself.

    Args:
        asked: the sweep.
        why_fixed: field -> why it can't be varied; empty when it can.

    Raises:
        ConfigError: every violation.
    """
    found = (*_missing(asked), *_violations(asked, why_fixed))
    if found:
        raise ConfigError(found)


def _missing(asked: spec.SweepSpec) -> Iterator[str]:
    """What keras-tuner needs for a search and does not ask for when it is installed."""
    if asked.search == "bayesian" and importlib.util.find_spec("sklearn") is None:
        yield "search: bayesian needs scikit-learn, which is not installed. Run pip install 'tfperf[bayesian]'."


def _violations(asked: spec.SweepSpec, why_fixed: Callable[[str], str]) -> Iterator[str]:
    for field, _ in asked.space:
        why = why_fixed(field)
        if why:
            yield f"space.{field}: it can't be varied, {why}. Take it out; `set` changes it for all trials."


def parameters(space: tuple[tuple[str, spec.Range], ...]) -> keras_tuner.HyperParameters:
    """The space, with the stamp that says what it is."""
    import keras_tuner

    found = keras_tuner.HyperParameters()
    for name, value in STAMP.items():
        found.Fixed(name, value)
    for field, values in space:
        match values:
            case spec.Choice():
                found.Choice(field, list(_encoded(values)))
            case spec.Uniform():
                found.Float(field, values.low, values.high)
            case spec.LogUniform():
                found.Float(field, values.low, values.high, sampling="log")
            case spec.Integers():
                found.Int(field, values.low, values.high, step=values.step)
    return found


def decoded(space: tuple[tuple[str, spec.Range], ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """Field -> value, from what keras-tuner chose."""
    return {field: _decoded(each, values[field]) for field, each in space}


def _encoded(choice: spec.Choice) -> tuple[Any, ...]:
    """Values of one kind as they are; a list, null or a mixture as text, for keras-tuner takes one kind only."""
    return choice.values if _of_one_kind(choice) else tuple(json.dumps(value) for value in choice.values)


def _decoded(values: spec.Range, chosen: Any) -> Any:
    if not isinstance(values, spec.Choice):
        return chosen
    return values.values[_encoded(values).index(chosen)]


def _of_one_kind(choice: spec.Choice) -> bool:
    kinds = {type(value) for value in choice.values}
    return len(kinds) == 1 and kinds <= {int, float, str, bool}
