"""Sets the weights that a model starts from, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from tfperf.errors import UsageError


def assign(model: keras.Model, weights: Mapping[str, np.ndarray | None]) -> None:
    """Assigns each weight of the model its value.

    Args:
        model: built.
        weights: one for each weight of the model, by the path of the variable; None keeps what the initialiser gave.

    Raises:
        UsageError: names are missing or surplus, or shapes differ; names all of them. Nothing was assigned.
    """
    variables = {variable.path: variable for variable in model.weights}
    shared = [name for name in variables if name in weights]
    problems = [
        *_listed("Missing", (name for name in variables if name not in weights)),
        *_listed("Not in the model", (name for name in weights if name not in variables)),
        *_listed("Wrong shape", _wrong_shapes({name: variables[name] for name in shared}, weights)),
        *_listed("Several weights of the model have the path", _repeated(model)),
    ]
    if problems:
        raise UsageError(f"The initial weights don't fit the model. {' '.join(problems)}")
    for name in shared:
        value = weights[name]
        if value is not None:
            variables[name].assign(value)


def described(weights: Mapping[str, np.ndarray | None]) -> str:
    """How many variables the weights set, and their digest."""
    drawn = sum(value is None for value in weights.values())
    rest = f"; {drawn} others keep their initialisers" if drawn else ""
    return f"{len(weights) - drawn} variables{rest}, SHA-256 {digest(weights)}"


def digest(weights: Mapping[str, np.ndarray | None]) -> str:
    """SHA-256 of names, shapes and values."""
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(f"{name} {None if value is None else (value.dtype.str, value.shape)}\n".encode())
        found.update(b"" if value is None else np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def _wrong_shapes(variables: Mapping[str, keras.Variable], weights: Mapping[str, np.ndarray | None]) -> Iterable[str]:
    for name, variable in variables.items():
        value, expected = weights[name], tuple(variable.shape)
        if value is not None and tuple(np.shape(value)) != expected:
            yield f"{name} (got {tuple(np.shape(value))}, expected {expected})"


def _repeated(model: keras.Model) -> Iterable[str]:
    paths = [variable.path for variable in model.weights]
    return sorted({path for path in paths if paths.count(path) > 1})


def _listed(what: str, names: Iterable[str]) -> tuple[str, ...]:
    found = list(names)
    return (f"{what}: {', '.join(found)}.",) if found else ()
