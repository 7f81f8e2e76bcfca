"""Arithmetic of boxes in the graph: areas, overlaps, corners and centres.

A box is its left, top, right and bottom edge, (x1, y1, x2, y2), in any unit, unless it is said to be (centre x,
centre y, width, height). All functions take any leading dimensions, keep the type and can be compiled by XLA.
"""

from __future__ import annotations

import tensorflow as tf


def areas(boxes: tf.Tensor) -> tf.Tensor:
    """The area of each box; 0 for a box whose corners are swapped.

    Args:
        boxes: float [..., 4].

    Returns:
        float [...].
    """
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.nn.relu(x2 - x1) * tf.nn.relu(y2 - y1)


def iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """The intersection over union of each box with each other box; 0 where neither has an area.

    Args:
        boxes: float [..., n, 4].
        others: float [..., m, 4], with the same leading dimensions, or with some that broadcast.

    Returns:
        float [..., n, m], from 0 to 1.
    """
    x1, y1, x2, y2 = (edge[..., None] for edge in tf.unstack(boxes, axis=-1))
    left, top, right, bottom = (edge[..., None, :] for edge in tf.unstack(others, axis=-1))
    width = tf.nn.relu(tf.minimum(x2, right) - tf.maximum(x1, left))
    height = tf.nn.relu(tf.minimum(y2, bottom) - tf.maximum(y1, top))
    shared = width * height
    return tf.math.divide_no_nan(shared, areas(boxes)[..., None] + areas(others)[..., None, :] - shared)


def centres(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes by their corners -> (centre x, centre y, width, height).

    Args:
        boxes: float [..., 4].
    """
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    width, height = x2 - x1, y2 - y1
    return tf.stack((x1 + 0.5 * width, y1 + 0.5 * height, width, height), axis=-1)


def corners(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes as (centre x, centre y, width, height) -> by their corners.

    Args:
        boxes: float [..., 4].
    """
    x, y, width, height = tf.unstack(boxes, axis=-1)
    across, down = 0.5 * width, 0.5 * height
    return tf.stack((x - across, y - down, x + across, y + down), axis=-1)


def clip(boxes: tf.Tensor, *, width: float = 1.0, height: float = 1.0) -> tf.Tensor:
    """The part of each box inside the image; a box outside keeps no area.

    Args:
        boxes: float [..., 4].
        width: of the image, in the unit of the boxes.
        height: likewise.
    """
    limits = tf.constant((width, height, width, height), boxes.dtype)
    return tf.minimum(tf.maximum(boxes, tf.zeros([], boxes.dtype)), limits)


def usable(boxes: tf.Tensor) -> tf.Tensor:
    """Whether each box can be an object: its edges are finite, and it has a width and a height.

    Args:
        boxes: float [..., 4].

    Returns:
        bool [...]; False for boxes without area, with swapped corners, with NaN or infinity.
    """
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return (x2 > x1) & (y2 > y1) & tf.reduce_all(tf.math.is_finite(boxes), axis=-1)
