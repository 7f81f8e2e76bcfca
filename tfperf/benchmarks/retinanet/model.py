"""RetinaNet on a ResNeXt with a feature pyramid, layer by layer as MLPerf's reference.

Source: `model/retinanet.py` and `model/backbone_utils.py` of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from tfperf.benchmarks.detection.network import residual, rows
from tfperf.benchmarks.detection.network.pyramid import pyramid
from tfperf.benchmarks.retinanet.options import RetinaNetOptions

_WIDENING = 2  # 32 groups of 4 channels, where ResNet has 64 channels
_PRIOR = 0.01  # the probability of each class at each anchor at first


def build(options: RetinaNetOptions) -> keras.Model:
    """The untrained model, from normalised images [n, size, size, 3] to what it predicts for each anchor.

    `offsets`, float32 [n, anchors, 4], and `logits`, float32 [n, anchors, classes], are in the order of the
    reference's anchors: level by level, cell by cell, ratio by ratio, size by size.
    """
    images = keras.Input((options.image_size, options.image_size, 3), name="image")
    features = residual.stages(images, backbone(options))
    levels = pyramid(features[1:], options.pyramid_width)
    bias = keras.initializers.Constant(-math.log((1 - _PRIOR) / _PRIOR))
    return keras.Model(
        images,
        {
            "offsets": _head(levels, options, values=4, name="box"),
            "logits": _head(levels, options, values=options.classes, name="class", bias=bias),
        },
        name="retinanet",
    )


def backbone(options: RetinaNetOptions) -> residual.Backbone:
    """The residual network: ResNeXt, whose batch normalisation keeps the statistics that it was loaded with."""
    return residual.Backbone(
        block="bottleneck",
        blocks=options.blocks,
        strides=(1, 2, 2, 2),
        width=options.width,
        groups=options.groups,
        widening=_WIDENING,
        frozen_norms=True,
        trained_stages=options.trained_stages,
    )


def _head(
    levels: Sequence[keras.KerasTensor],
    options: RetinaNetOptions,
    *,
    values: int,
    name: str,
    bias: keras.initializers.Initializer | str = "zeros",
) -> keras.KerasTensor:
    """The predictions of one head, whose convolutions all levels share."""
    hidden = [
        _convolution(options.pyramid_width, f"{name}_conv{number}", activation="relu")
        for number in range(options.head_layers)
    ]
    last = _convolution(options.anchors_per_cell * values, f"{name}_predicted", bias=bias)
    predicted = []
    for number, features in enumerate(levels):
        for layer in (*hidden, last):
            features = layer(features)
        predicted.append(rows.rows(features, values, order="cell", name=f"{name}{number}"))
    return rows.joined(predicted, {"box": "offsets", "class": "logits"}[name])


def _convolution(
    filters: int,
    name: str,
    *,
    activation: str | None = None,
    bias: keras.initializers.Initializer | str = "zeros",
) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        activation=activation,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=bias,
        data_format="channels_last",
        name=name,
    )
