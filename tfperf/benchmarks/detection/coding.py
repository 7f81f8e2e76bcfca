"""Boxes as offsets from default boxes or anchors, and back.

A detector predicts how far the centre of an object is from that of a reference box, in units of the box's size, and the
logarithm of the ratio of their sizes, each divided by a scale. Sources: `Encoder` and `Loss` of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd, and `BoxCoder` in model/utils.py of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from tfperf.benchmarks.detection import boxes


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxCoding:
    """The scales of the offsets.

    Attributes:
        centre_scale: of the two offsets of the centre.
        size_scale: of the two logarithms of the size.
        largest_ratio: how many times as wide or high as its reference box a decoded box can be, so that exp can't
            overflow. RetinaNet's reference has this bound. SSD's has none, and a box this large can't match an object.
    """

    centre_scale: float = 1.0
    size_scale: float = 1.0
    largest_ratio: float = 1000 / 16


SSD_CODING = BoxCoding(centre_scale=0.1, size_scale=0.2)
RETINANET_CODING = BoxCoding()


def encode(objects: tf.Tensor, references: tf.Tensor, coding: BoxCoding) -> tf.Tensor:
    """The offsets of objects from reference boxes.

    Args:
        objects: float [..., 4], boxes by their corners, with an area.
        references: float [..., 4], boxes by their corners, in the same unit, with an area.
        coding: the scales.

    Returns:
        float [..., 4]: x, y, width, height.
    """
    x, y, width, height = tf.unstack(boxes.centres(objects), axis=-1)
    from_x, from_y, from_width, from_height = tf.unstack(boxes.centres(references), axis=-1)
    return tf.stack(
        (
            (x - from_x) / from_width / coding.centre_scale,
            (y - from_y) / from_height / coding.centre_scale,
            tf.math.log(width / from_width) / coding.size_scale,
            tf.math.log(height / from_height) / coding.size_scale,
        ),
        axis=-1,
    )


def decode(offsets: tf.Tensor, references: tf.Tensor, coding: BoxCoding) -> tf.Tensor:
    """The boxes at these offsets from reference boxes.

    Args:
        offsets: float [..., 4]: x, y, width, height.
        references: float [..., 4], boxes by their corners.
        coding: the scales.

    Returns:
        float [..., 4], boxes by their corners, in the unit of the reference boxes; they may reach beyond the image.
    """
    x, y, width, height = tf.unstack(offsets, axis=-1)
    from_x, from_y, from_width, from_height = tf.unstack(boxes.centres(references), axis=-1)
    largest = math.log(coding.largest_ratio)
    return boxes.corners(
        tf.stack(
            (
                x * coding.centre_scale * from_width + from_x,
                y * coding.centre_scale * from_height + from_y,
                tf.exp(tf.minimum(width * coding.size_scale, largest)) * from_width,
                tf.exp(tf.minimum(height * coding.size_scale, largest)) * from_height,
            ),
            axis=-1,
        )
    )
