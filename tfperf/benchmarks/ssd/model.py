"""SSD on a ResNet, layer by layer as MLPerf's reference.

Source: `ssd300.py` and `base_model.py` of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd.
"""

from __future__ import annotations

import math

import keras

from tfperf.benchmarks.detection.network import residual, rows
from tfperf.benchmarks.ssd.options import SsdOptions


def build(options: SsdOptions) -> keras.Model:
    """The untrained model, from normalised images [n, size, size, 3] to what it predicts for each default box.

    `offsets`, float32 [n, boxes, 4], and `logits`, float32 [n, boxes, classes], are in the order of the reference's
    default boxes: map by map, within a map shape by shape, then row by row.
    """
    images = keras.Input((options.image_size, options.image_size, 3), name="image")
    maps = [residual.stages(images, backbone(options))[-1]]
    for number, (width, stride) in enumerate(zip(options.extra_widths, options.extra_strides, strict=True)):
        maps.append(_extra(maps[-1], f"extra{number}", width, stride=stride))
    offsets, logits = [], []
    for number, (features, boxes) in enumerate(zip(maps, options.boxes_per_cell, strict=True)):
        offsets.append(_predicted(features, f"loc{number}", boxes, values=4))
        logits.append(_predicted(features, f"conf{number}", boxes, values=options.classes))
    return keras.Model(
        images, {"offsets": rows.joined(offsets, "offsets"), "logits": rows.joined(logits, "logits")}, name="ssd"
    )


def backbone(options: SsdOptions) -> residual.Backbone:
    """The residual network: the third stage keeps the size, since the reference takes its stride away."""
    return residual.Backbone(block="basic", blocks=options.blocks, strides=(1, 2, 1), width=options.width)


def _extra(features: keras.KerasTensor, name: str, width: int, *, stride: int) -> keras.KerasTensor:
    """The next smaller feature map."""
    features = _convolution(features, width // 2, kernel=1, activation="relu", name=f"{name}_reduce")
    if stride == 2:
        features = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(features)
    return _convolution(features, width, kernel=3, stride=stride, padding="valid", activation="relu", name=name)


def _predicted(features: keras.KerasTensor, name: str, boxes: int, *, values: int) -> keras.KerasTensor:
    return rows.rows(_convolution(features, boxes * values, kernel=3, name=name), values, order="shape", name=name)


def _convolution(
    features: keras.KerasTensor,
    filters: int,
    *,
    kernel: int,
    name: str,
    stride: int = 1,
    padding: str = "same",
    activation: str | None = None,
) -> keras.KerasTensor:
    """A convolution with the reference's initialisers; that of the bias is PyTorch's default."""
    bound = 1 / math.sqrt(kernel**2 * features.shape[-1])
    return keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        activation=activation,
        kernel_initializer="glorot_uniform",
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        data_format="channels_last",
        name=name,
    )(features)
