"""From the records of a split to the batches that a model trains on and is evaluated with."""

from __future__ import annotations

import functools
import math
from typing import Any

import tensorflow as tf

from tfperf.benchmarks import pipeline_options
from tfperf.benchmarks.benchmark import Feed
from tfperf.benchmarks.images.preprocessing import Preprocessing
from tfperf.benchmarks.images.skipping import Skipped, decode_or_skip
from tfperf.benchmarks.images.sources.split import LabelledJpeg, Pass, Split
from tfperf.errors import MissingDataError


def train_batches(
    split: Split, feed: Feed, *, preprocessing: Preprocessing, skipped: Skipped, epochs: int | None = None
) -> tf.data.Dataset:
    """Batches (images, one-hot labels), the split in another order in each epoch, endless unless `epochs` is given.

    The augmentation of an image depends only on `feed.seed` and its position in the order, so threads share the work
    whether or not the order is deterministic.

    Raises:
        MissingDataError: there are more pipelines than examples.
    """
    _require_records(split, feed)
    way = Pass(pipelines=feed.pipelines, index=feed.index, shuffle_seed=feed.seed, named=skipped.limit > 0)

    def prepare(position: tf.Tensor, record: Any) -> tuple[tf.Tensor, ...]:
        example = _parse(split, record)
        seed = tf.stack([tf.constant(feed.seed, tf.int64), position])
        image, whole = _decode(
            lambda encoded, label, boxes, seed: preprocessing.train(LabelledJpeg(encoded, label, boxes), seed),
            (*example, seed),
            record=record,
            split=split,
            size=preprocessing.size,
            skipped=skipped,
        )
        return tf.cast(image, feed.compute_dtype), example.label, whole

    # A `counter` would call a function for each image, which takes a tenth of the pipeline's time.
    positions = tf.data.Dataset.range(feed.index, tf.int64.max, feed.pipelines)
    records = tf.data.Dataset.zip(positions, split.records(way).repeat(epochs))
    if skipped.limit == 0:
        examples = records.map(lambda *record: prepare(*record)[:2], num_parallel_calls=tf.data.AUTOTUNE)
        batches = examples.batch(feed.batch_size, drop_remainder=True)  # tf.data fuses it with the map
    else:
        examples = records.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        examples = examples.filter(lambda image, label, whole: whole)
        examples = examples.map(lambda image, label, whole: (image, label))
        batches = _in_parallel(examples, feed)
    labelled = batches.map(functools.partial(_one_hot, preprocessing.classes))
    return labelled.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def eval_batches(split: Split, feed: Feed, *, preprocessing: Preprocessing, skipped: Skipped) -> tf.data.Dataset:
    """Batches (images, one-hot labels, weights) with each example of the pipeline's share once, then weights of 0."""
    shares = split.shares(feed.pipelines)
    way = Pass(pipelines=feed.pipelines, index=feed.index, named=skipped.limit > 0)

    def prepare(*record: Any) -> tuple[tf.Tensor, ...]:
        record = record[0] if len(record) == 1 else record
        example = _parse(split, record)
        image, whole = _decode(
            preprocessing.evaluate,
            (example.encoded,),
            record=record,
            split=split,
            size=preprocessing.size,
            skipped=skipped,
        )
        return tf.cast(image, feed.compute_dtype), example.label, tf.cast(whole, tf.float32)

    mine = shares[feed.index]
    whole_split = tf.data.experimental.assert_cardinality(mine)
    examples = split.records(way).apply(whole_split).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    filling = math.ceil(max(shares) / feed.batch_size) * feed.batch_size - mine
    nothing = tuple(tf.zeros(spec.shape, spec.dtype) for spec in examples.element_spec)
    filled = examples.concatenate(tf.data.Dataset.from_tensors(nothing).repeat(filling))
    batches = _in_parallel(filled, feed).map(functools.partial(_one_hot, preprocessing.classes))
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def _in_parallel(examples: tf.data.Dataset, feed: Feed) -> tf.data.Dataset:
    """Whole batches, several of them copied together at the same time: one thread can't keep up with several GPUs."""
    return examples.batch(feed.batch_size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE)


def _require_records(split: Split, feed: Feed) -> None:
    if split.shares(feed.pipelines)[feed.index] == 0:
        raise MissingDataError(
            f"{split.examples} training examples can't be shared by {feed.pipelines} pipelines: each needs one or more."
        )


def _parse(split: Split, record: Any) -> LabelledJpeg:
    example: LabelledJpeg = split.parse(*record) if isinstance(record, tuple) else split.parse(record)
    return example


def _decode(
    decode: Any, inputs: tuple[tf.Tensor, ...], *, record: Any, split: Split, size: int, skipped: Skipped
) -> tuple[tf.Tensor, tf.Tensor]:
    if skipped.limit == 0:
        return decode(*inputs), tf.constant(True)
    name = split.name(*record) if isinstance(record, tuple) else split.name(record)
    return decode_or_skip(decode, inputs, name=name, size=size, skipped=skipped)


def _one_hot(classes: int, images: tf.Tensor, labels: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
    # `one_hot` silently turns a label out of range into zeros; `gather` fails.
    return images, tf.one_hot(tf.gather(tf.range(classes), labels), classes), *weights
