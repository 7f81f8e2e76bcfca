"""The losses of SSD and of RetinaNet for each image, as MLPerf's references compute them.

Sources: `Loss` in base_model.py of https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd, and
model/retinanet.py and model/focal_loss.py of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd. Both average over the images of the
global batch.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfperf.benchmarks.detection.matching import BACKGROUND, IGNORED

NEGATIVES_FOR_EACH_POSITIVE = 3
"""In SSD's loss."""
_FOCAL_ALPHA = 0.25


class DetectionLoss(NamedTuple):
    """The two parts of a detector's loss, float32 [n] each, one value for each image; the loss is their sum."""

    boxes: tf.Tensor
    classes: tf.Tensor


def ssd_loss(
    offsets: tf.Tensor, logits: tf.Tensor, *, true_offsets: tf.Tensor, true_classes: tf.Tensor
) -> DetectionLoss:
    """Smooth L1 of the offsets and cross-entropy of the classes, over the number of positives.

    Only default boxes with an object count for the offsets. For the classes, so do three times as many of the others,
    those with the highest cross-entropy, of equal ones the first. In the reference the boxes with an object may be
    among these too if there are not enough others; here each counts once. The loss of an image without an object is 0.

    Args:
        offsets: float [n, m, 4], predicted.
        logits: float [n, m, classes], predicted; class 0 is the background.
        true_offsets: float [n, m, 4], finite everywhere.
        true_classes: int [n, m]; 0 or less where there is no object.
    """
    positive = true_classes > 0
    found = tf.cast(positive, tf.float32)
    positives = tf.reduce_sum(found, axis=-1)
    distance = tf.abs(tf.cast(offsets, tf.float32) - true_offsets)
    smooth = tf.where(distance < 1.0, 0.5 * tf.square(distance), distance - 0.5)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.maximum(true_classes, 0), logits=tf.cast(logits, tf.float32)
    )
    counts = positive | hardest(tf.stop_gradient(entropy), ~positive, NEGATIVES_FOR_EACH_POSITIVE * positives)
    share = tf.math.reciprocal_no_nan(positives)
    return DetectionLoss(
        boxes=share * tf.reduce_sum(found * tf.reduce_sum(smooth, axis=-1), axis=-1),
        classes=share * tf.reduce_sum(tf.where(counts, entropy, 0.0), axis=-1),
    )


def hardest(losses: tf.Tensor, eligible: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The eligible boxes with the highest losses; of equal losses the first.

    Args:
        losses: float32 [n, m], 0 or more.
        eligible: bool [n, m].
        count: float32 [n], a whole number of boxes; all are taken if fewer are eligible.

    Returns:
        bool [n, m].
    """
    ranked = tf.where(eligible, losses, -1.0)
    total = tf.shape(losses)[-1]
    last = tf.clip_by_value(tf.cast(count, tf.int32), 1, total) - 1
    lowest = tf.gather(tf.sort(ranked, direction="DESCENDING"), last[:, None], axis=-1, batch_dims=1)
    above, equal = ranked > lowest, ranked == lowest
    room = count - tf.reduce_sum(tf.cast(above, tf.float32), axis=-1)
    first_equal = equal & (tf.cumsum(tf.cast(equal, tf.float32), axis=-1) <= room[:, None])
    return (above | first_equal) & eligible & (count > 0)[:, None]


def retinanet_loss(
    offsets: tf.Tensor, logits: tf.Tensor, *, true_offsets: tf.Tensor, true_classes: tf.Tensor
) -> DetectionLoss:
    """L1 of the offsets and focal loss of the classes, over the number of anchors with an object, at least 1.

    Args:
        offsets: float [n, m, 4], predicted.
        logits: float [n, m, classes], predicted; there is no class for the background.
        true_offsets: float [n, m, 4], finite everywhere.
        true_classes: int [n, m]; BACKGROUND where there is no object, IGNORED where the anchor doesn't count.
    """
    positive = true_classes > BACKGROUND
    found = tf.cast(positive, tf.float32)
    share = 1.0 / tf.maximum(tf.reduce_sum(found, axis=-1), 1.0)
    distance = tf.reduce_sum(tf.abs(tf.cast(offsets, tf.float32) - true_offsets), axis=-1)
    is_class = tf.range(tf.shape(logits)[-1]) == tf.cast(true_classes, tf.int32)[..., None]
    focal = tf.reduce_sum(focal_loss(tf.cast(logits, tf.float32), is_class), axis=-1)
    return DetectionLoss(
        boxes=share * tf.reduce_sum(found * distance, axis=-1),
        classes=share * tf.reduce_sum(tf.where(true_classes > IGNORED, focal, 0.0), axis=-1),
    )


def focal_loss(logits: tf.Tensor, is_class: tf.Tensor) -> tf.Tensor:
    """The cross-entropy of each yes-or-no decision times its squared error, with alpha 0.25 and gamma 2.

    Args:
        logits: float32 [...].
        is_class: bool [...], the right decisions.

    Returns:
        float32 [...].
    """
    wrong = tf.where(is_class, -logits, logits)  # the logit of deciding the other way
    weight = tf.where(is_class, _FOCAL_ALPHA, 1 - _FOCAL_ALPHA)
    return weight * tf.square(tf.sigmoid(wrong)) * tf.nn.softplus(wrong)
