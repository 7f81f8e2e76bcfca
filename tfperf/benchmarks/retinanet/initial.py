"""The weights that RetinaNet starts from, by the path of each variable."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from tfperf.benchmarks.detection.network import torchvision
from tfperf.benchmarks.retinanet import model
from tfperf.benchmarks.retinanet.options import RetinaNetOptions


def initial_weights(options: RetinaNetOptions, data_dir: pathlib.Path | None) -> Mapping[str, np.ndarray | None] | None:
    """The weights of the residual network that the options name, for `TrainingTask.initial_weights`.

    Returns:
        The weights by path, None for a variable that keeps its initialiser; None if the options name no weights.

    Raises:
        MissingDataError, UsageError: as `torchvision.find` and `torchvision.read`.
    """
    path = torchvision.find(options.backbone, data_dir)
    if path is None:
        return None
    return {**dict.fromkeys(_new(options)), **torchvision.read(path, model.backbone(options))}


def _new(options: RetinaNetOptions) -> list[str]:
    """The variables beyond the residual network."""
    layers = [f"fpn_{kind}{number}" for kind in ("inner", "layer") for number in range(3)]
    layers += ["fpn_p6", "fpn_p7", "class_predicted", "box_predicted"]
    layers += [f"{head}_conv{number}" for head in ("class", "box") for number in range(options.head_layers)]
    return [f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")]
