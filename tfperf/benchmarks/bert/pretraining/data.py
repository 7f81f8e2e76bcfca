"""The examples of pre-training as batches, from whichever source a config names."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib

import numpy as np
import tensorflow as tf

from tfperf import spec
from tfperf.benchmarks import pipeline_options
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.bert.pretraining import captions, records
from tfperf.benchmarks.bert.pretraining.captions import CaptionExamples
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.source import SOURCES, PretrainingRecords, ShapeCaptions
from tfperf.errors import ConfigError, MissingDataError


def open_data(data: spec.Data, options: PretrainingOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the records of `data.source`, or writes the embedded captions.

    Raises:
        ConfigError: the source is not one of SOURCES, the model doesn't fit the captions, or corrupt records are to be
            skipped.
        MissingDataError, DamagedDataError, UsageError: as `records.open_records`.
    """
    if data.skip_corrupt:
        raise ConfigError((f"data.skip_corrupt must be 0: no record of text is skipped; got {data.skip_corrupt}.",))
    if isinstance(data.source, PretrainingRecords):
        return records.open_records(data.source, options, data_dir)
    if isinstance(data.source, ShapeCaptions):
        return _open_captions(data.source, options)
    raise ConfigError((f"data.source: got {data.source!r}. Accepted: {', '.join(kind.__name__ for kind in SOURCES)}.",))


def _open_captions(source: ShapeCaptions, options: PretrainingOptions) -> OpenData:
    captions.check(options)
    train = captions.write("train", source.train_examples, options, duplicates=source.duplicates)
    evaluation = captions.write("validation", source.eval_examples, options, duplicates=1)
    facts = ("captions 1", dataclasses.asdict(source), options.sequence_length, options.predictions)
    return OpenData(
        train_examples=source.train_examples,
        eval_examples=source.eval_examples,
        train=functools.partial(_train_batches, train),
        evaluation=functools.partial(_eval_batches, evaluation),
        fingerprint=hashlib.sha256(repr(facts).encode()).hexdigest(),
    )


def _train_batches(examples: CaptionExamples, feed: Feed) -> tf.data.Dataset:
    """Endless whole batches (inputs, targets), the examples in another order in each epoch."""
    rows = np.arange(len(examples.input_ids))[feed.index :: feed.pipelines]
    if not rows.size:
        raise MissingDataError(
            f"{len(examples.input_ids)} training examples can't be shared by {feed.pipelines} pipelines: each needs "
            "one or more."
        )
    numbers = tf.data.Dataset.from_tensor_slices(rows).shuffle(len(rows), seed=feed.seed).repeat()
    batches = numbers.batch(feed.batch_size, drop_remainder=True).map(functools.partial(_rows, examples))
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def _eval_batches(examples: CaptionExamples, feed: Feed) -> tf.data.Dataset:
    """Batches (inputs, targets, weights) with each example once over all pipelines, then examples of weight 0."""
    total = len(examples.input_ids)
    rows = np.arange(total)[feed.index :: feed.pipelines]
    filling = feed.batches_of(total) * feed.batch_size - len(rows)
    weights = np.pad(np.ones(len(rows), np.float32), (0, filling))
    weighted = tf.data.Dataset.from_tensor_slices((np.pad(rows, (0, filling)), weights))
    batches = weighted.batch(feed.batch_size, drop_remainder=True).map(
        lambda numbers, weights: (*_rows(examples, numbers), weights)
    )
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def _rows(examples: CaptionExamples, numbers: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    taken = {name: tf.gather(array, numbers) for name, array in examples._asdict().items()}
    targets = {name: taken.pop(name) for name in ("masked_lm", "next_sentence")}
    return taken, targets
