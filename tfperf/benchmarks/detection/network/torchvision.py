"""The weights that detectors start from: a residual network that torchvision trained on ImageNet, by name.

Source of the names: `torchvision/models/resnet.py` of https://github.com/pytorch/vision. Safetensors files of timm's
`resnet34.tv_in1k` and `resnext50_32x4d.tv_in1k` have the same.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Mapping

import numpy as np
from absl import logging

from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.checkpoints.listing import listed
from tfperf.benchmarks.detection.network import residual
from tfperf.benchmarks.detection.network.residual import Backbone
from tfperf.errors import UsageError

_PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# The classifier, and the counters of batch normalisation.
_NO_PART = re.compile(r"fc\..*|(.*\.)?num_batches_tracked")


def find(name: str | None, data_dir: pathlib.Path | None) -> pathlib.Path | None:
    """The file that the option `backbone` names, without opening it.

    Args:
        name: a path in the data directory; None names no file.
        data_dir: the data directory.

    Raises:
        MissingDataError: there is no such file, or no data directory for its path.
    """
    return tensor_files.find(name, data_dir, option="backbone")


def read(path: pathlib.Path, backbone: Backbone) -> Mapping[str, np.ndarray]:
    """Reads a residual network.

    The classifier is left out, and so are stages that the detector doesn't have.

    Args:
        path: a `.safetensors` or `.npz` file.
        backbone: the network.

    Returns:
        float32 values by the path of each variable of the network.

    Raises:
        MissingDataError: there is no file.
        UsageError: it is damaged or not of this network; names what is missing, surplus or of another shape.
    """
    file, shapes = tensor_files.open_tensors(path), residual.shapes(backbone)
    names = {variable: name_of(variable) for variable in shapes}
    surplus = [name for name in file.shapes.keys() - names.values() if not _is_left_out(name, backbone)]
    problems = [
        *listed("Missing", (name for name in names.values() if name not in file.shapes)),
        *listed("Not of this network", sorted(surplus)),
        *listed("Wrong shape", _wrong_shapes(file, names, shapes)),
    ]
    if problems:
        raise UsageError(
            f"{path} doesn't fit the backbone of the model. {' '.join(problems)} Choose the weights of torchvision's "
            "network of these sizes, or set `blocks` and `width` to theirs."
        )
    left_out = len(file.shapes) - len(names)
    logging.info("Left out of %s: %d tensors, of its classifier and of what the detector lacks.", path, left_out)
    return {variable: _value(file, name) for variable, name in names.items()}


def name_of(variable: str) -> str:
    """What torchvision calls a variable, such as `layer2.0.downsample.0.weight`."""
    layer, _, part = variable.rpartition("/")
    module = re.sub(r"^(layer\d+)_(\d+)_", r"\1.\2.", layer)
    module = module.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
    return f"{module}.{_PARTS[part]}"


def _is_left_out(name: str, backbone: Backbone) -> bool:
    stage = re.match(r"layer([1-4])\.", name)
    return bool(_NO_PART.fullmatch(name)) or (stage is not None and int(stage[1]) > len(backbone.blocks))


def _wrong_shapes(
    file: tensor_files.NamedTensors, names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]
) -> Iterable[str]:
    for variable, name in names.items():
        shape, got = shapes[variable], file.shapes.get(name)
        expected = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
        if got is not None and got != expected:
            yield f"{name} (got {got}, expected {expected})"


def _value(file: tensor_files.NamedTensors, name: str) -> np.ndarray:
    value = tensor_files.finite(file, name)
    return np.ascontiguousarray(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
