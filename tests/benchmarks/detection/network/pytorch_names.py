"""Where the tensors of the PyTorch references belong in the networks here, for tests of whole networks."""

import re
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from tests.benchmarks.detection.network import drawn_weights

_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_PARTS = {"kernel": "weight", "bias": "bias"}


def tensors(model: keras.Model, names: Iterable[tuple[str, str]]) -> dict[str, np.ndarray]:
    """What was drawn for each tensor of the model, by the name that PyTorch gives it."""
    return {name: drawn_weights.tensor(name, shape) for _, name, shape in _named(model, names)}


def fill(model: keras.Model, names: Iterable[tuple[str, str]], *, values_of: dict[str, int] | None = None) -> None:
    """Assigns each variable of the model what was drawn for its tensor.

    Args:
        model: built.
        names: patterns of layer names and what PyTorch calls the module.
        values_of: for layers, by the beginning of their names, whose filters PyTorch orders value by value: the number
            of values of a box.
    """
    for variable, name, theirs in _named(model, names):
        tensor = drawn_weights.tensor(name, theirs)
        for beginning, values in (values_of or {}).items():
            if variable.path.startswith(beginning):
                by_value = tensor.reshape(values, -1, *theirs[1:])
                tensor = np.swapaxes(by_value, 0, 1).reshape(theirs)
        variable.assign(tensor.transpose(2, 3, 1, 0) if len(theirs) == 4 else tensor)


def _named(
    model: keras.Model, names: Iterable[tuple[str, str]]
) -> Iterator[tuple[keras.Variable, str, tuple[int, ...]]]:
    """Each variable, with the name and the shape of its tensor in PyTorch."""
    for variable in model.weights:
        layer, _, part = variable.path.rpartition("/")
        module = next(re.sub(f"^{ours}$", theirs, layer) for ours, theirs in names if re.fullmatch(ours, layer))
        parts = _PARTS if "kernel" in part or part == "bias" else _NORM
        shape = tuple(variable.shape)
        yield variable, f"{module}.{parts[part]}", (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
