"""Checkpoints of MLPerf's SSD in PyTorch that are served as they are."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from tfperf.benchmarks.benchmark import ServedCheckpoints
from tfperf.benchmarks.detection.network import checkpoint
from tfperf.benchmarks.ssd.options import SsdOptions

if TYPE_CHECKING:
    import keras

_OFFSETS = 4
# Layers -> modules of the reference, which cuts torchvision's network in two.
_MODULES = (
    ("conv1", "model.layer1.0"),
    ("bn1", "model.layer1.1"),
    (r"layer1_(\d+)_((conv|bn)\d)", r"model.layer1.4.\1.\2"),
    (r"layer2_(\d+)_((conv|bn)\d)", r"model.layer1.5.\1.\2"),
    (r"layer2_(\d+)_downsample_conv", r"model.layer1.5.\1.downsample.0"),
    (r"layer2_(\d+)_downsample_bn", r"model.layer1.5.\1.downsample.1"),
    (r"layer3_(\d+)_((conv|bn)\d)", r"model.layer2.0.\1.\2"),
    (r"layer3_(\d+)_downsample_conv", r"model.layer2.0.\1.downsample.0"),
    (r"layer3_(\d+)_downsample_bn", r"model.layer2.0.\1.downsample.1"),
    (r"extra(\d+)_reduce", r"additional_blocks.\1.0"),
    (r"extra(\d+)", r"additional_blocks.\1.2"),
    (r"(loc|conf)(\d+)", r"\1.\2"),
)


def load(model: keras.Model, path: pathlib.Path, options: SsdOptions) -> None:
    """Sets the weights of the model, for `ServedCheckpoints.load`."""
    checkpoint.load(model, path, _MODULES, by_value={"loc": _OFFSETS, "conf": options.classes + 1})


SERVED = ServedCheckpoints(
    described="a .safetensors or .npz file with the tensors of MLPerf's SSD300 in PyTorch",
    files=checkpoint.files,
    load=load,
)
