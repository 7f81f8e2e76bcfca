"""Whole detectors from checkpoints of MLPerf's references in PyTorch, which are served as they are."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.checkpoints.listing import listed
from tfperf.errors import UsageError

if TYPE_CHECKING:
    import keras

_CONVOLUTION = {"kernel": "weight", "bias": "bias"}
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_NO_PART = re.compile(r"(.*\.)?num_batches_tracked")  # counters of batch normalisation


def files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The file of a checkpoint at a path; empty if there is none, for `ServedCheckpoints.files`."""
    known = path.suffix in (tensor_files.SAFETENSORS, tensor_files.NPZ)
    return (path,) if known and path.is_file() else ()


def load(
    model: keras.Model,
    path: pathlib.Path,
    modules: Iterable[tuple[str, str]],
    *,
    by_value: Mapping[str, int] | None = None,
) -> None:
    """Sets all weights of a model to those of a checkpoint.

    Args:
        model: the detector.
        path: a `.safetensors` or `.npz` file with the names of the reference's modules.
        modules: patterns of layer names, and what PyTorch calls the module.
        by_value: for layers, by the beginning of their names, whose filters PyTorch orders value by value and not box
            by box: the number of values of a box.

    Raises:
        MissingDataError: there is no file.
        UsageError: it is damaged or not of this network; names what is missing, surplus or of another shape.
    """
    file, patterns = tensor_files.open_tensors(path), tuple(modules)
    names = {variable.path: _name_of(variable.path, patterns) for variable in model.weights}
    surplus = sorted(name for name in file.shapes.keys() - names.values() if not _NO_PART.fullmatch(name))
    problems = [
        *listed("Missing", (name for name in names.values() if name not in file.shapes)),
        *listed("Not of this network", surplus),
        *listed("Wrong shape", _wrong_shapes(file, names, model)),
    ]
    if problems:
        raise UsageError(
            f"{path} doesn't fit the model. {' '.join(problems)} Choose a checkpoint of MLPerf's reference of these "
            "sizes, or set the options of the model to its sizes."
        )
    for variable in model.weights:
        value = tensor_files.finite(file, names[variable.path])
        for beginning, values in (by_value or {}).items():
            if variable.path.startswith(beginning):
                value = np.swapaxes(value.reshape(values, -1, *value.shape[1:]), 0, 1).reshape(value.shape)
        variable.assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)


def _name_of(variable: str, patterns: Iterable[tuple[str, str]]) -> str:
    """What PyTorch calls a variable, such as `backbone.body.layer2.0.downsample.0.weight`."""
    layer, _, part = variable.rpartition("/")
    module = next(re.sub(f"^{ours}$", theirs, layer) for ours, theirs in patterns if re.fullmatch(ours, layer))
    return f"{module}.{(_CONVOLUTION | _NORM)[part]}"


def _wrong_shapes(file: tensor_files.NamedTensors, names: Mapping[str, str], model: keras.Model) -> Iterator[str]:
    for variable in model.weights:
        name, shape = names[variable.path], tuple(variable.shape)
        expected, got = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape, file.shapes.get(name)
        if got is not None and got != expected:
            yield f"{name} (got {got}, expected {expected})"
