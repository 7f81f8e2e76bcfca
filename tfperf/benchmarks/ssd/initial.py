"""The weights that SSD starts from, by the path of each variable."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.detection.network import torchvision
from tfperf.benchmarks.ssd import model
from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.errors import MissingDataError


def check(options: SsdOptions, data_dir: pathlib.Path | None) -> None:
    """Refuses options that name weights which are not there, before anything is built.

    Raises:
        MissingDataError: there is no such file, or no data directory for its path.
    """
    path = _path(options, data_dir)
    if path is not None and not path.is_file():
        raise MissingDataError(f"backbone: there are no weights at {path}.")


def initial_weights(options: SsdOptions, data_dir: pathlib.Path | None) -> Mapping[str, np.ndarray | None] | None:
    """The weights of the residual network that the options name, for `TrainingTask.initial_weights`.

    Returns:
        The weights by path, None for a variable that keeps its initialiser; None if the options name no weights.

    Raises:
        MissingDataError, UsageError: as `torchvision.read`.
    """
    path = _path(options, data_dir)
    if path is None:
        return None
    return {**dict.fromkeys(_new(options)), **torchvision.read(path, model.backbone(options))}


def _new(options: SsdOptions) -> list[str]:
    """The variables beyond the residual network."""
    maps = range(len(options.grids))
    layers = [f"{kind}{number}" for kind in ("loc", "conf") for number in maps]
    layers += [f"extra{number}{part}" for number in maps[:-1] for part in ("", "_reduce")]
    return [f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")]


def _path(options: SsdOptions, data_dir: pathlib.Path | None) -> pathlib.Path | None:
    if options.backbone is None:
        return None
    return tensor_files.in_directory(options.backbone, data_dir, option="backbone")
