"""What SSD and RetinaNet make of their predictions, with the numbers of MLPerf's references.

Both choose the best predictions above a score of 0.05, and of those of one class that overlap by an IoU of 0.5, the
best. Of equal scores the first counts: the first class and default box, the first level and anchor. If a prediction for
an image is not finite, all scores of the image are NaN, so that what failed doesn't pass for an image without objects.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfperf.benchmarks.detection import boxes
from tfperf.benchmarks.detection.anchors import AnchorLayout, anchors
from tfperf.benchmarks.detection.coding import RETINANET_CODING, SSD_CODING, decode
from tfperf.benchmarks.detection.suppression import Candidates, Detections, suppress

_SCORE = 0.05
_IOU = 0.5
_SSD_CANDIDATES = 200  # of each class
_SSD_FEW = 1024
SSD_DETECTIONS = 200
_RETINANET_CANDIDATES = 1000  # of each level
RETINANET_DETECTIONS = 300


def ssd_detections(offsets: tf.Tensor, logits: tf.Tensor, references: np.ndarray) -> Detections:
    """The detections of SSD: at most 200 of the 200 best predictions of each class.

    Source: `decode_single` in utils.py of
    https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd. Boxes may reach beyond the image.

    Args:
        offsets: float [n, m, 4].
        logits: float [n, m, classes]; class 0 is the background.
        references: float32 [m, 4], the default boxes by their corners, in units of the image.

    Returns:
        The detections, in units of the image, with their classes from 1.
    """
    scores = tf.nn.softmax(tf.cast(logits, tf.float32))[..., 1:]
    found = best_of_classes(decode(tf.cast(offsets, tf.float32), references, SSD_CODING), scores)
    return _unless_failed(found, offsets, logits)


def best_of_classes(found: tf.Tensor, scores: tf.Tensor) -> Detections:
    """SSD's choice among scored boxes.

    Args:
        found: float32 [n, m, 4], boxes by their corners.
        scores: float32 [n, m, classes], without the background.

    Returns:
        The detections, with their classes from 1.
    """
    if found.shape[1] <= _SSD_FEW:
        candidates = _by_class(found, scores)
    else:
        # Sorting all boxes for each class takes longer than the rest, and few boxes of a trained model have a score.
        scored = tf.reduce_any(scores > _SCORE, axis=-1)
        are_few = tf.reduce_all(tf.math.count_nonzero(scored, axis=1) <= _SSD_FEW)
        candidates = tf.cond(
            are_few, lambda: _by_class(*_first(scored, found, scores)), lambda: _by_class(found, scores)
        )
    return suppress(candidates, iou=_IOU, limit=SSD_DETECTIONS, or_equal=True)


def _first(scored: tf.Tensor, found: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The boxes that have a score, in their order, and their scores; others fill up."""
    which = tf.math.top_k(tf.cast(scored, tf.float32), _SSD_FEW).indices  # of equal values the first
    return tf.gather(found, which, batch_dims=1), tf.gather(scores, which, batch_dims=1)


def _by_class(found: tf.Tensor, scores: tf.Tensor) -> Candidates:
    """The best boxes of each class, sorted by their scores."""
    by_class = tf.transpose(scores, (0, 2, 1))
    count, number = by_class.shape[1], min(_SSD_CANDIDATES, by_class.shape[2])
    best, which = tf.math.top_k(tf.where(by_class > _SCORE, by_class, 0.0), number)
    classes = tf.repeat(tf.range(1, count + 1), number)
    ranked, order = tf.math.top_k(tf.reshape(best, (-1, count * number)), count * number)
    which = tf.gather(tf.reshape(which, (-1, count * number)), order, batch_dims=1)
    return Candidates(tf.gather(found, which, batch_dims=1), ranked, tf.gather(classes, order))


def retinanet_detections(offsets: tf.Tensor, logits: tf.Tensor, layout: AnchorLayout) -> Detections:
    """The detections of RetinaNet: at most 300 of the 1,000 best predictions of each level.

    Predictions are compared by their logits, as these are exact where their scores round. Source:
    `postprocess_detections` in model/retinanet.py of
    https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.

    Args:
        offsets: float [n, m, 4].
        logits: float [n, m, classes]; there is no background.
        layout: the anchors.

    Returns:
        The detections inside the image, in units of the image.
    """
    levels = zip(
        tf.split(offsets, layout.per_level, axis=1),
        tf.split(logits, layout.per_level, axis=1),
        np.split(anchors(layout), np.cumsum(layout.per_level)[:-1]),
        strict=True,
    )
    found, chosen, classes = (
        tf.concat(part, axis=1) for part in zip(*(_best(*level) for level in levels), strict=True)
    )
    ranked, order = tf.math.top_k(chosen, chosen.shape[1])
    height, width = layout.image_size
    inside = boxes.clip(tf.gather(found, order, batch_dims=1), width=width, height=height)
    scores = tf.where(ranked > math.log(_SCORE / (1 - _SCORE)), tf.sigmoid(ranked), 0.0)
    candidates = Candidates(inside, scores, tf.gather(classes, order, batch_dims=1))
    taken = suppress(candidates, iou=_IOU, limit=RETINANET_DETECTIONS)
    found = taken._replace(boxes=taken.boxes / (width, height, width, height))
    return _unless_failed(found, offsets, logits)


def _best(offsets: tf.Tensor, logits: tf.Tensor, references: np.ndarray) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The best predictions of one level: their boxes, logits and classes.

    They are among the anchors whose own best predictions are the best, which are few to search.
    """
    count, classes = logits.shape[1:]
    best_anchors = tf.math.top_k(tf.reduce_max(logits, axis=-1), min(_RETINANET_CANDIDATES, count)).indices
    best_anchors = tf.sort(best_anchors)
    rows = tf.gather(logits, best_anchors, batch_dims=1)
    flat = tf.reshape(rows, (-1, rows.shape[1] * classes))
    best, which = tf.math.top_k(tf.cast(flat, tf.float32), min(_RETINANET_CANDIDATES, flat.shape[1]))
    anchor = tf.gather(best_anchors, which // classes, batch_dims=1)
    found = decode(
        tf.cast(tf.gather(offsets, anchor, batch_dims=1), tf.float32), tf.gather(references, anchor), RETINANET_CODING
    )
    return found, best, which % classes


def _unless_failed(found: Detections, *predictions: tf.Tensor) -> Detections:
    """The detections; NaN in images with a prediction, float [n, m, ...], that is not finite."""
    total = tf.add_n([tf.reduce_sum(tf.cast(each, tf.float32), axis=(1, 2)) for each in predictions])
    failed = ~tf.math.is_finite(total)
    scores = tf.where(failed[:, None], float("nan"), found.scores)
    return found._replace(scores=scores, count=tf.where(failed, tf.shape(scores)[1], found.count))
