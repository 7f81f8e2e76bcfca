"""From scored boxes to detections: of boxes of one class that overlap, the one with the highest score stays."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tfperf.benchmarks.detection import boxes

_BLOCK = 128  # candidates decided at a time


class Candidates(NamedTuple):
    """Scored boxes of each image, highest score first.

    Attributes:
        boxes: float32 [n, m, 4], by their corners.
        scores: float32 [n, m]; 0 for those after the last candidate of an image.
        classes: int32 [n, m].
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor


class Detections(NamedTuple):
    """What was found in each image, highest score first, padded with zeros to the same number.

    Attributes:
        boxes: float32 [n, k, 4], by their corners.
        scores: float32 [n, k].
        classes: int32 [n, k].
        count: int32 [n], the number of detections.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    count: tf.Tensor


def suppress(candidates: Candidates, *, iou: float, limit: int, or_equal: bool = False) -> Detections:
    """Takes the candidates one after the other, but none that overlaps a taken one of its class.

    They are decided in blocks, until `limit` are taken or none is left: first against what earlier blocks took, then
    within the block.

    Args:
        candidates: the candidates; of equal scores the first counts.
        iou: boxes that overlap more than this exclude each other.
        limit: the most detections of an image.
        or_equal: whether boxes that overlap exactly this much exclude each other too.
    """
    size = min(_BLOCK, candidates.scores.shape[1])
    blocks = Candidates(*(_in_blocks(part, size) for part in candidates))
    images = tf.shape(candidates.scores)[0]
    left = tf.math.count_nonzero(candidates.scores > 0, axis=1, dtype=tf.int32)
    before = tf.range(size)[:, None] < tf.range(size)

    def conflict(some: Candidates, others: Candidates) -> tf.Tensor:
        overlap = boxes.iou(some.boxes, others.boxes)
        same_class = some.classes[:, :, None] == others.classes[:, None, :]
        return same_class & (overlap >= iou if or_equal else overlap > iou)

    def unfinished(block: tf.Tensor, taken: Detections) -> tf.Tensor:
        return tf.reduce_any((block * size < left) & (taken.count < limit))

    def decide(block: tf.Tensor, taken: Detections) -> tuple[tf.Tensor, Detections]:
        now = Candidates(*(part[:, block] for part in blocks))
        excluded = tf.reduce_any(conflict(now, Candidates(*(part[:, :limit] for part in taken[:3]))), axis=2)
        keep = _greedy((now.scores > 0) & ~excluded, conflict(now, now) & before)
        return block + 1, _appended(taken, now, keep, limit)

    nothing = Detections(
        boxes=tf.zeros((images, limit + 1, 4)),
        scores=tf.zeros((images, limit + 1)),
        classes=tf.fill((images, limit + 1), -1),
        count=tf.zeros(images, tf.int32),
    )
    _, taken = tf.while_loop(unfinished, decide, (tf.constant(0), nothing), parallel_iterations=1)
    classes = tf.maximum(taken.classes[:, :limit], 0)
    return Detections(taken.boxes[:, :limit], taken.scores[:, :limit], classes, taken.count)


def _in_blocks(part: tf.Tensor, size: int) -> tf.Tensor:
    """[n, m, ...] -> [n, blocks, size, ...], padded with zeros."""
    total, *rest = part.shape[1:]
    padded = tf.pad(part, [(0, 0), (0, -total % size), *((0, 0) for _ in rest)])
    return tf.reshape(padded, (-1, -(-total // size), size, *rest))


def _greedy(possible: tf.Tensor, excludes: tf.Tensor) -> tf.Tensor:
    """Which candidates stay if they are taken in order: those that no candidate that stays excludes.

    Each repetition settles at least the first candidate that is not settled yet, and most of them many.

    Args:
        possible: bool [n, m].
        excludes: bool [n, m, m]: whether the first, if it stays, excludes the second, which comes later.

    Returns:
        bool [n, m].
    """

    def again(keep: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        settled = possible & ~tf.reduce_any(excludes & keep[:, :, None], axis=1)
        return settled, tf.reduce_any(settled != keep)

    keep, _ = tf.while_loop(lambda _, changed: changed, again, (possible, tf.constant(True)), parallel_iterations=1)
    return keep


def _appended(taken: Detections, now: Candidates, keep: tf.Tensor, limit: int) -> Detections:
    """What was taken, and those of a block that stay, up to the limit; the column after it holds what is dropped."""
    place = taken.count[:, None] + tf.cumsum(tf.cast(keep, tf.int32), axis=1) - 1
    column = tf.where(keep & (place < limit), place, limit)
    row = tf.broadcast_to(tf.range(tf.shape(column)[0])[:, None], tf.shape(column))
    at = tf.stack((row, column), axis=-1)
    found, scores, classes = (
        tf.tensor_scatter_nd_update(had, at, more) for had, more in zip(taken[:3], now, strict=True)
    )
    return Detections(
        found, scores, classes, tf.minimum(taken.count + tf.math.count_nonzero(keep, 1, dtype=tf.int32), limit)
    )
