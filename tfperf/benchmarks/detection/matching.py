"""Which object each reference box of a detector learns to find.

Reference boxes are SSD's default boxes or RetinaNet's anchors. Both functions have fixed shapes and can be compiled by
XLA. Of equal overlaps the first counts: the first object for a reference box, the first reference box for an object.
An object whose box is not `boxes.usable` is matched with nothing.
"""

from __future__ import annotations

import tensorflow as tf

from tfperf.benchmarks.detection import boxes

BACKGROUND = -1
"""In place of an object's number: the reference box has to find nothing."""
IGNORED = -2
"""In place of an object's number: the reference box learns nothing from this image."""


def match_best(objects: tf.Tensor, valid: tf.Tensor, references: tf.Tensor, *, threshold: float = 0.5) -> tf.Tensor:
    """Matches as SSD does: each object with its best reference box, and each other box above the threshold.

    A reference box that is the best of several objects gets the last of them. Source: `Encoder.encode` in utils.py of
    https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd.

    Args:
        objects: float [..., n, 4], boxes by their corners, n at least 1.
        valid: bool [..., n]; False for those that only pad.
        references: float [m, 4], in the same unit.
        threshold: the IoU that a reference box must exceed.

    Returns:
        int32 [..., m], numbers of objects, or BACKGROUND.
    """
    valid &= boxes.usable(objects)
    overlaps = _overlaps(objects, valid, references)
    match = tf.argmax(overlaps, axis=-2, output_type=tf.int32)
    match = tf.where(tf.reduce_max(overlaps, axis=-2) > threshold, match, BACKGROUND)
    best = tf.argmax(overlaps, axis=-1, output_type=tf.int32)
    is_best = (tf.range(tf.shape(references)[0]) == best[..., None]) & valid[..., None]
    number = tf.where(is_best, tf.range(tf.shape(objects)[-2])[:, None], BACKGROUND)
    forced = tf.reduce_max(number, axis=-2)
    return tf.where(forced >= 0, forced, match)


def match_by_thresholds(
    objects: tf.Tensor,
    valid: tf.Tensor,
    references: tf.Tensor,
    *,
    foreground: float = 0.5,
    background: float = 0.4,
) -> tf.Tensor:
    """Matches as RetinaNet does: by two thresholds, and at least one reference box for nearly each object.

    The reference boxes that overlap an object most, all of them if several are equal, are matched too, each with the
    object that it overlaps most itself. Source: `Matcher` in model/utils.py of
    https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.

    Args:
        objects: float [..., n, 4], boxes by their corners, n at least 1.
        valid: bool [..., n]; False for those that only pad.
        references: float [m, 4], in the same unit.
        foreground: the lowest IoU of a match.
        background: below this IoU, a reference box is background; between the two it is ignored.

    Returns:
        int32 [..., m], numbers of objects, BACKGROUND or IGNORED.
    """
    overlaps = _overlaps(objects, valid & boxes.usable(objects), references)
    nearest = tf.argmax(overlaps, axis=-2, output_type=tf.int32)
    overlap = tf.reduce_max(overlaps, axis=-2)
    best = tf.reduce_max(overlaps, axis=-1, keepdims=True)
    # An object that overlaps nothing has no best box; in the reference it would have all of them.
    is_best = tf.reduce_any((overlaps == best) & (best > 0), axis=-2)
    unmatched = tf.where(overlap < background, BACKGROUND, IGNORED)
    return tf.where(is_best | (overlap >= foreground), nearest, unmatched)


def _overlaps(objects: tf.Tensor, valid: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """float [..., n, m], -1 for objects that only pad."""
    return tf.where(valid[..., None], boxes.iou(objects, references), -1.0)


def boxes_to_find(objects: tf.Tensor, matches: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """The box of the object that each reference box is matched with; where there is none, the reference box itself.

    Args:
        objects: float [..., n, 4].
        matches: int32 [..., m].
        references: float [m, 4].

    Returns:
        float [..., m, 4].
    """
    found = tf.gather(objects, tf.maximum(matches, 0), axis=-2, batch_dims=matches.shape.rank - 1)
    return tf.where(matches[..., None] >= 0, found, references)


def classes_to_find(classes: tf.Tensor, matches: tf.Tensor) -> tf.Tensor:
    """The class of the object that each reference box is matched with.

    Args:
        classes: int32 [..., n].
        matches: int32 [..., m].

    Returns:
        int32 [..., m]; BACKGROUND or IGNORED where there is no object.
    """
    found = tf.gather(classes, tf.maximum(matches, 0), axis=-1, batch_dims=matches.shape.rank - 1)
    return tf.where(matches >= 0, found, matches)
