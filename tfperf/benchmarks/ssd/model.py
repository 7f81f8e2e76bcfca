"""SSD on a ResNet, layer by layer as MLPerf's reference, with its loss and its detections.

Source: `ssd300.py`, `base_model.py` and `utils.py` of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from tfperf.benchmarks.detection import matching
from tfperf.benchmarks.detection.coding import SSD_CODING, encode
from tfperf.benchmarks.detection.default_boxes import DefaultBoxLayout, default_corners
from tfperf.benchmarks.detection.detections import SSD_DETECTIONS, ssd_detections
from tfperf.benchmarks.detection.losses import ssd_loss
from tfperf.benchmarks.detection.network import residual, rows
from tfperf.benchmarks.detection.network.output import OFFSETS, DetectorOutput
from tfperf.benchmarks.detection.suppression import Detections
from tfperf.benchmarks.ssd.options import SsdOptions


@keras.saving.register_keras_serializable(package="tfperf")
class SsdOutput(DetectorOutput):
    """The output of SSD, with 200 detections at most and classes from 1."""

    options_class = SsdOptions
    most = SSD_DETECTIONS

    def __init__(self, *, options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(options=options, **kwargs)
        self._references = default_corners(layout(self.options))

    def detections(self, offsets: Any, logits: Any) -> Detections:
        """What is detected from what `call` takes."""
        return ssd_detections(offsets, logits, self._references)


class SsdLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """Smooth L1 of the offsets and cross entropy of the classes, over the default boxes that the objects match.

    Args:
        options: of the model.
    """

    def __init__(self, options: SsdOptions) -> None:
        super().__init__(name="ssd_loss", reduction="sum_over_batch_size")
        self._references = default_corners(layout(options))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each image, [n].

        Args:
            y_true: float32 [n, most, 5]: x1, y1, x2, y2 in units of the image, and the class from 0, -1 for padding.
            y_pred: float32 [n, boxes, 4 + classes + 1], from `SsdOutput`.
        """
        objects, classes = y_true[..., :4], tf.cast(y_true[..., 4], tf.int32)
        match = matching.match_best(objects, classes >= 0, self._references)
        matched = matching.boxes_to_find(objects, match, self._references)
        parts = ssd_loss(
            y_pred[..., :OFFSETS],
            y_pred[..., OFFSETS:],
            true_offsets=encode(matched, self._references, SSD_CODING),
            true_classes=matching.classes_to_find(classes, match) + 1,  # the background is class 0
        )
        return parts.boxes + parts.classes


def build(options: SsdOptions) -> keras.Model:
    """The untrained model, from normalised images [n, size, size, 3] to `detections`."""
    predicting = network(options)
    output = SsdOutput(options=dict(vars(options)), dtype="float32", name="detections")
    return keras.Model(predicting.input, output(**predicting.output), name="ssd")


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: SsdOptions) -> None:
    """Gives the model its optimizer and its loss; the quality is computed on the host."""
    model.compile(optimizer, SsdLoss(options), jit_compile=False)


def layout(options: SsdOptions) -> DefaultBoxLayout:
    """The default boxes."""
    return DefaultBoxLayout(
        image_size=options.image_size,
        grids=options.grids,
        steps=options.steps,
        scales=options.scales,
        ratios=options.ratios,
    )


def network(options: SsdOptions) -> keras.Model:
    """The untrained network, from normalised images [n, size, size, 3] to what it predicts for each default box.

    `offsets`, float32 [n, boxes, 4], and `logits`, float32 [n, boxes, classes + 1], are in the order of the reference's
    default boxes: map by map, within a map shape by shape, then row by row.
    """
    images = keras.Input((options.image_size, options.image_size, 3), name="image")
    maps = [residual.stages(images, backbone(options))[-1]]
    for number, (width, stride) in enumerate(zip(options.extra_widths, options.extra_strides, strict=True)):
        maps.append(_extra(maps[-1], f"extra{number}", width, stride=stride))
    offsets, logits = [], []
    for number, (features, count) in enumerate(zip(maps, options.boxes_per_cell, strict=True)):
        offsets.append(_predicted(features, f"loc{number}", count, values=OFFSETS))
        logits.append(_predicted(features, f"conf{number}", count, values=options.classes + 1))
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


def _predicted(features: keras.KerasTensor, name: str, count: int, *, values: int) -> keras.KerasTensor:
    return rows.rows(_convolution(features, count * values, kernel=3, name=name), values, order="shape", name=name)


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
