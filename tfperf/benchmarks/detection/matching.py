"""Which object each reference box of a detector learns to find.

Reference boxes are SSD's default boxes or RetinaNet's anchors. Both functions have fixed shapes and can be compiled by
XLA. Of equal overlaps the first counts: the first object for a reference box, the first reference box for an object.
An object whose box is not `boxes.usable` is matched with nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfperf.benchmarks.detection import boxes

BACKGROUND = -1
"""In place of an object's number: the reference box has to find nothing."""
IGNORED = -2
"""In place of an object's number: the reference box learns nothing from this image."""
_AT_A_TIME = 8  # objects of an image


def match_best(objects: tf.Tensor, valid: tf.Tensor, references: tf.Tensor, *, threshold: float = 0.5) -> tf.Tensor:
    """Matches as SSD does: each object with its best reference box, and each other box above the threshold.

    A reference box that is the best of several objects gets the last of them. Source: `Encoder.encode` in utils.py of
    https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd.

    Args:
        objects: float [..., n, 4], boxes by their corners.
        valid: bool [..., n]; False for those that only pad.
        references: float [m, 4], in the same unit.
        threshold: the IoU that a reference box must exceed.

    Returns:
        int32 [..., m], numbers of objects, or BACKGROUND.
    """

    def is_best(overlaps: tf.Tensor) -> tf.Tensor:
        return tf.range(tf.shape(references)[0]) == tf.argmax(overlaps, axis=-1, output_type=tf.int32)[..., None]

    nearest = _nearest(objects, valid, references, is_best)
    match = tf.where(nearest.overlap > threshold, nearest.number, BACKGROUND)
    return tf.where(nearest.best_of >= 0, nearest.best_of, match)


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
        objects: float [..., n, 4], boxes by their corners.
        valid: bool [..., n]; False for those that only pad.
        references: float [m, 4], in the same unit.
        foreground: the lowest IoU of a match.
        background: below this IoU, a reference box is background; between the two it is ignored.

    Returns:
        int32 [..., m], numbers of objects, BACKGROUND or IGNORED.
    """

    def is_best(overlaps: tf.Tensor) -> tf.Tensor:
        # An object that overlaps nothing has no best box; in the reference it would have all of them.
        best = tf.reduce_max(overlaps, axis=-1, keepdims=True)
        return (overlaps == best) & (best > 0)

    nearest = _nearest(objects, valid, references, is_best)
    unmatched = tf.where(nearest.overlap < background, BACKGROUND, IGNORED)
    return tf.where((nearest.best_of >= 0) | (nearest.overlap >= foreground), nearest.number, unmatched)


class _Nearest(NamedTuple):
    """What each reference box overlaps most.

    Attributes:
        overlap: float [..., m], the largest IoU; -1 if there is no object.
        number: int32 [..., m], the object, the first if several are equal.
        best_of: int32 [..., m], the last object of which it is a best box; -1 if of none.
    """

    overlap: tf.Tensor
    number: tf.Tensor
    best_of: tf.Tensor


def _nearest(
    objects: tf.Tensor, valid: tf.Tensor, references: tf.Tensor, is_best: Callable[[tf.Tensor], tf.Tensor]
) -> _Nearest:
    """Compares a few objects at a time: all overlaps of an image with many objects would fill the memory.

    Args:
        objects: float [..., n, 4].
        valid: bool [..., n].
        references: float [m, 4].
        is_best: the overlaps of some objects, float [..., few, m] -> which reference boxes are their best.
    """
    valid &= boxes.usable(objects)
    few = tf.range(_AT_A_TIME)
    last = tf.shape(valid)[-1] - 1
    end = tf.reduce_max(tf.where(valid, tf.range(last + 1) + 1, 0))

    def more(start: tf.Tensor, _: _Nearest) -> tf.Tensor:
        return start < end

    def compare(start: tf.Tensor, had: _Nearest) -> tuple[tf.Tensor, _Nearest]:
        numbers = start + few
        at = tf.minimum(numbers, last)
        counts = tf.gather(valid, at, axis=-1) & (numbers <= last)
        overlaps = tf.where(counts[..., None], boxes.iou(tf.gather(objects, at, axis=-2), references), -1.0)
        overlap = tf.reduce_max(overlaps, axis=-2)
        number = start + tf.argmax(overlaps, axis=-2, output_type=tf.int32)
        best_of = tf.where(is_best(overlaps) & counts[..., None], numbers[:, None], BACKGROUND)
        return start + _AT_A_TIME, _Nearest(
            overlap=tf.maximum(had.overlap, overlap),
            number=tf.where(overlap > had.overlap, number, had.number),
            best_of=tf.maximum(had.best_of, tf.reduce_max(best_of, axis=-2)),
        )

    shape = tf.concat((tf.shape(valid)[:-1], tf.shape(references)[:1]), axis=0)
    none = _Nearest(tf.fill(shape, -1.0), tf.fill(shape, BACKGROUND), tf.fill(shape, BACKGROUND))
    _, nearest = tf.while_loop(more, compare, (tf.constant(0), none), parallel_iterations=1)
    return _Nearest(*nearest)


def boxes_to_find(objects: tf.Tensor, matches: tf.Tensor, references: tf.Tensor) -> tf.Tensor:
    """The box of the object that each reference box is matched with; where there is none, the reference box itself.

    Args:
        objects: float [..., n, 4], n at least 1.
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
        classes: int32 [..., n], n at least 1.
        matches: int32 [..., m].

    Returns:
        int32 [..., m]; BACKGROUND or IGNORED where there is no object.
    """
    found = tf.gather(classes, tf.maximum(matches, 0), axis=-1, batch_dims=matches.shape.rank - 1)
    return tf.where(matches >= 0, found, matches)
