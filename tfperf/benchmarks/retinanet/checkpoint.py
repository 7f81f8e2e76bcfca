"""Checkpoints of MLPerf's RetinaNet that are served as they are, such as `retinanet_model_10.pth` of its inference."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from tfperf.benchmarks.benchmark import ServedCheckpoints
from tfperf.benchmarks.detection.network import checkpoint
from tfperf.benchmarks.retinanet.options import RetinaNetOptions

if TYPE_CHECKING:
    import keras

# Layers -> modules of the reference; between two convolutions of a head is an activation.
_MODULES = (
    ("(conv1|bn1)", r"backbone.body.\1"),
    (r"(layer\d)_(\d+)_((conv|bn)\d)", r"backbone.body.\1.\2.\3"),
    (r"(layer\d)_(\d+)_downsample_conv", r"backbone.body.\1.\2.downsample.0"),
    (r"(layer\d)_(\d+)_downsample_bn", r"backbone.body.\1.\2.downsample.1"),
    (r"fpn_(inner|layer)(\d)", r"backbone.fpn.\1_blocks.\2"),
    (r"fpn_(p\d)", r"backbone.fpn.extra_blocks.\1"),
    ("class_predicted", "head.classification_head.cls_logits"),
    ("box_predicted", "head.regression_head.bbox_reg"),
)
_HEADS = (("class", "classification"), ("box", "regression"))


def load(model: keras.Model, path: pathlib.Path, options: RetinaNetOptions) -> None:
    """Sets the weights of the model, for `ServedCheckpoints.load`."""
    hidden = (
        (f"{ours}_conv{number}", f"head.{theirs}_head.conv.{2 * number}")
        for ours, theirs in _HEADS
        for number in range(options.head_layers)
    )
    checkpoint.load(model, path, (*_MODULES, *hidden))


SERVED = ServedCheckpoints(
    described="a .safetensors or .npz file with the tensors of MLPerf's RetinaNet in PyTorch",
    files=checkpoint.files,
    load=load,
)
