"""Detections in one array: what a detector's model returns."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfperf.benchmarks.detection.suppression import Detections

VALUES = 6
"""Of each detection: x1, y1, x2, y2, score and class."""


def packed(found: Detections) -> tf.Tensor:
    """Detections in one tensor.

    Args:
        found: in each image at most k detections, whose scores are above 0, or NaN in an image that failed.

    Returns:
        float32 [n, k, 6]; a score of 0 for those that only pad.
    """
    scores = tf.where(tf.range(found.scores.shape[1]) < found.count[:, None], found.scores, 0.0)
    return tf.concat((found.boxes, scores[..., None], tf.cast(found.classes, tf.float32)[..., None]), axis=-1)


def unpacked(values: np.ndarray) -> Detections:
    """What `packed` was made of, in host memory.

    Args:
        values: float32 [n, k, 6].
    """
    scores = values[..., 4]
    return Detections(values[..., :4], scores, values[..., 5].astype("int32"), (scores != 0).sum(axis=1, dtype="int32"))
