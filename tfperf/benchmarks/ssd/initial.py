"""The weights that SSD starts from, by the path of each variable."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from tfperf.benchmarks.detection.network import torchvision
from tfperf.benchmarks.ssd import model
from tfperf.benchmarks.ssd.options import SsdOptions


def initial_weights(options: SsdOptions, data_dir: pathlib.Path | None) -> Mapping[str, np.ndarray | None] | None:
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


def _new(options: SsdOptions) -> list[str]:
    """The variables beyond the residual network."""
    maps = range(len(options.grids))
    layers = [f"{kind}{number}" for kind in ("loc", "conf") for number in maps]
    layers += [f"extra{number}{part}" for number in maps[:-1] for part in ("", "_reduce")]
    return [f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")]
