"""RetinaNet on a ResNeXt with a feature pyramid, layer by layer as MLPerf's reference, with its loss and detections.

Source: `model/retinanet.py` and `model/backbone_utils.py` of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfperf.benchmarks.detection import matching
from tfperf.benchmarks.detection.anchors import AnchorLayout, anchors
from tfperf.benchmarks.detection.coding import RETINANET_CODING, encode
from tfperf.benchmarks.detection.detections import RETINANET_DETECTIONS, retinanet_detections
from tfperf.benchmarks.detection.losses import retinanet_loss
from tfperf.benchmarks.detection.network import residual, rows
from tfperf.benchmarks.detection.network.output import OFFSETS, DetectorOutput
from tfperf.benchmarks.detection.network.pyramid import pyramid
from tfperf.benchmarks.detection.suppression import Detections
from tfperf.benchmarks.retinanet.options import RetinaNetOptions

_WIDENING = 2  # 32 groups of 4 channels, where ResNet has 64 channels
_PRIOR = 0.01  # the probability of each class at each anchor at first


@keras.saving.register_keras_serializable(package="tfperf")
class RetinaNetOutput(DetectorOutput):
    """The output of RetinaNet, with 300 detections at most and classes from 0."""

    options_class = RetinaNetOptions
    most = RETINANET_DETECTIONS

    def detections(self, offsets: Any, logits: Any) -> Detections:
        """What is detected from what `call` takes."""
        return retinanet_detections(offsets, logits, layout(self.options))


class RetinaNetLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """L1 of the offsets and focal loss of the classes, over the anchors that the objects match.

    Args:
        options: of the model.
    """

    def __init__(self, options: RetinaNetOptions) -> None:
        super().__init__(name="retinanet_loss", reduction="sum_over_batch_size")
        self._anchors, self._size = anchors(layout(options)), float(options.image_size)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each image, [n].

        Args:
            y_true: float32 [n, most, 5]: x1, y1, x2, y2 in units of the image, and the class, -1 for padding.
            y_pred: float32 [n, anchors, 4 + classes], from `RetinaNetOutput`.
        """
        objects, classes = self._size * y_true[..., :4], tf.cast(y_true[..., 4], tf.int32)
        match = matching.match_by_thresholds(objects, classes >= 0, self._anchors)
        matched = matching.boxes_to_find(objects, match, self._anchors)
        parts = retinanet_loss(
            y_pred[..., :OFFSETS],
            y_pred[..., OFFSETS:],
            true_offsets=encode(matched, self._anchors, RETINANET_CODING),
            true_classes=matching.classes_to_find(classes, match),
        )
        return parts.boxes + parts.classes


def build(options: RetinaNetOptions) -> keras.Model:
    """The untrained model, from normalised images [n, size, size, 3] to `detections`."""
    predicting = network(options)
    output = RetinaNetOutput(options=dict(vars(options)), dtype="float32", name="detections")
    return keras.Model(predicting.input, output(**predicting.output), name="retinanet")


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: RetinaNetOptions) -> None:
    """Gives the model its optimizer and its loss; the quality is computed on the host."""
    model.compile(optimizer, RetinaNetLoss(options), jit_compile=False)


def layout(options: RetinaNetOptions) -> AnchorLayout:
    """The anchors."""
    return AnchorLayout(
        image_size=(options.image_size, options.image_size),
        grids=tuple((grid, grid) for grid in options.grids),
        sizes=options.sizes,
        ratios=options.ratios,
    )


def network(options: RetinaNetOptions) -> keras.Model:
    """The untrained network, from normalised images [n, size, size, 3] to what it predicts for each anchor.

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
            "offsets": _head(levels, options, values=OFFSETS, name="box"),
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
