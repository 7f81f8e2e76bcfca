"""From the images of a split to the batches that a detector is trained and evaluated on."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfperf.benchmarks import pipeline_options
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.detection.data.annotated_split import DetectionSplit
from tfperf.benchmarks.detection.data.preprocessing import (
    AnnotatedJpeg,
    DetectionPreprocessing,
    eval_image,
    train_example,
)
from tfperf.benchmarks.images.sources.split import Pass
from tfperf.errors import MissingDataError

PADDING = -1
"""The class that fills up the objects of an image to the number that all images of a split have."""


def train_batches(split: DetectionSplit, feed: Feed, *, preprocessing: DetectionPreprocessing) -> tf.data.Dataset:
    """Endless whole batches (images, targets), the split in another order in each epoch.

    The augmentation of an image depends only on `feed.seed` and its position in the order, so threads share the work
    whether or not the order is deterministic. Images are float [n, size, size, 3] in the type that the model computes
    in. Targets are `boxes`, float32 [n, most, 4] as x1, y1, x2, y2 in shares of the image, and `classes`, int32
    [n, most], `PADDING` where an image has fewer objects than `split.most_objects`.

    Raises:
        MissingDataError: there are more pipelines than images.
    """
    if split.images.shares(feed.pipelines)[feed.index] == 0:
        raise MissingDataError(
            f"{split.images.examples} training images can't be shared by {feed.pipelines} pipelines: each needs one or "
            "more."
        )
    way = Pass(pipelines=feed.pipelines, index=feed.index, shuffle_seed=feed.seed)

    def prepare(position: tf.Tensor, record: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        seed = tf.stack([tf.constant(feed.seed, tf.int64), position])
        image, boxes, classes = train_example(_parsed(split, record), preprocessing, seed=seed)
        targets = _padded({"boxes": boxes, "classes": classes}, split.most_objects)
        return tf.cast(image, feed.compute_dtype), targets

    # A `counter` would call a function for each image.
    positions = tf.data.Dataset.range(feed.index, tf.int64.max, feed.pipelines)
    records = tf.data.Dataset.zip(positions, split.images.records(way).repeat())
    examples = records.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    batches = examples.batch(feed.batch_size, drop_remainder=True)  # tf.data fuses it with the map
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def eval_batches(split: DetectionSplit, feed: Feed, *, preprocessing: DetectionPreprocessing) -> tf.data.Dataset:
    """Batches (images, targets, weights) with each image of the pipeline's share once, then weights of 0.

    Besides `boxes` and `classes`, as in training, targets hold what scoring needs: `crowd` and `difficult`, bool
    [n, most]; `areas`, float32 [n, most], square pixels; `size`, int32 [n, 2], height and width of the image before it
    was scaled; and `number`, int64 [n], which tells the images of the split apart.
    """
    shares = split.images.shares(feed.pipelines)
    way = Pass(pipelines=feed.pipelines, index=feed.index)

    def prepare(*record: Any) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
        example = _parsed(split, record[0] if len(record) == 1 else record)
        image = eval_image(example.encoded, preprocessing)
        objects = {name: getattr(example, name) for name in ("boxes", "classes", "crowd", "difficult", "areas")}
        targets = {**_padded(objects, split.most_objects), "size": example.size, "number": example.number}
        return tf.cast(image, feed.compute_dtype), targets, tf.ones([])

    mine = shares[feed.index]
    whole_split = tf.data.experimental.assert_cardinality(mine)
    examples = split.images.records(way).apply(whole_split).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    filling = math.ceil(max(shares) / feed.batch_size) * feed.batch_size - mine
    nothing = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), examples.element_spec)
    nothing[1]["classes"] += PADDING
    filled = examples.concatenate(tf.data.Dataset.from_tensors(nothing).repeat(filling))
    batches = filled.batch(feed.batch_size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def _parsed(split: DetectionSplit, record: Any) -> AnnotatedJpeg:
    example: AnnotatedJpeg = split.images.parse(*record) if isinstance(record, tuple) else split.images.parse(record)
    return example


def _padded(objects: dict[str, tf.Tensor], most: int) -> dict[str, tf.Tensor]:
    """Columns of `most` rows."""
    count = tf.shape(objects["classes"])[0]
    enough = tf.debugging.Assert(count <= most, ["An image holds", count, "objects, expected were at most", most])
    with tf.control_dependencies([enough]):
        missing = most - count
    padded = {}
    for name, column in objects.items():
        rest = tf.fill(tf.concat([[missing], tf.shape(column)[1:]], 0), _filling(name, column.dtype))
        padded[name] = tf.ensure_shape(tf.concat([column, rest], 0), [most, *column.shape[1:]])
    return padded


def _filling(name: str, dtype: tf.DType) -> tf.Tensor:
    return tf.constant(PADDING, dtype) if name == "classes" else tf.zeros([], dtype)
