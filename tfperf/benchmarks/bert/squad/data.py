"""The windows of questions as batches to fine-tune on and to evaluate."""

from __future__ import annotations

import functools
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tfperf import spec
from tfperf.benchmarks import pipeline_options
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.bert.squad import feature_cache
from tfperf.benchmarks.bert.squad.features import Features
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.predictions import Exam
from tfperf.benchmarks.bert.squad.questions import find
from tfperf.benchmarks.bert.squad.scorer import SpanScorer
from tfperf.errors import DamagedDataError, MissingDataError

_INPUTS = ("input_ids", "input_mask", "segment_ids")
_NAMES_IN_A_MESSAGE = 5


def open_data(data: spec.Data, options: SquadOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Reads the questions and cuts them into windows, or finds the windows in the cache.

    Inputs are int32 [n, sequence_length], padded with 0. Targets of training are int32 [n, 2], the tokens at which the
    answer starts and ends, (0, 0) where the window does not hold it; targets of an evaluation have the number of the
    window for the scorer as a third.

    Args:
        data: the source, and how many questions whose answer is not in their context may be left out.
        options: how windows are cut and answered.
        data_dir: the directory of the source.

    Raises:
        MissingDataError: a file is not there.
        DamagedDataError: a file is damaged, or too many questions have an answer that does not lie in the context.
        UsageError: the questions are those of SQuAD 2.0, or the vocabulary has another size than the encoder.
    """
    found = find(data.source, options, data_dir)
    to_train, asked = found.training(), found.evaluation()
    training = feature_cache.for_training(to_train, found.cutter, options, data_dir=found.cache_dir)
    _check_misplaced(training.misplaced, name=to_train.name, allowed=data.skip_corrupt)
    if not len(training.features):
        raise MissingDataError(f"{to_train.name} has no context with a word to train on. Take train-v1.1.json.")
    windows = feature_cache.for_evaluation(asked, found.cutter, options, data_dir=found.cache_dir)
    if not len(windows):
        raise MissingDataError(f"{asked.name} has no context with a word to evaluate. Take dev-v1.1.json.")
    exam = Exam(asked=asked, features=windows, cutter=found.cutter, options=options)
    sizes = (options.sequence_length, options.stride, options.question_length)
    facts = (to_train.digest, asked.digest, found.cutter.fingerprint, sizes)
    return OpenData(
        train_examples=len(training.features),
        eval_examples=len(windows),
        train=functools.partial(_train_batches, training.features, length=options.sequence_length),
        evaluation=functools.partial(_eval_batches, windows, length=options.sequence_length),
        fingerprint=hashlib.sha256(repr(facts).encode()).hexdigest(),
        skipped=lambda: training.misplaced,
        scorer=lambda: SpanScorer(exam),
    )


def _check_misplaced(misplaced: Sequence[str], *, name: str, allowed: int) -> None:
    """Refuses more questions without their answer than may be left out; the reference leaves out any number."""
    if not misplaced:
        return
    shown = "\n".join(f"  {line}" for line in misplaced[:_NAMES_IN_A_MESSAGE])
    more = len(misplaced) - _NAMES_IN_A_MESSAGE
    listed = shown + (f"\n  and {more:,} more" if more > 0 else "")
    if len(misplaced) > allowed:
        raise DamagedDataError(
            f"{name} has {len(misplaced):,} questions whose answer does not lie in the context:\n{listed}\nCorrect "
            f"them, or leave them out with data.skip_corrupt={len(misplaced)}, as MLPerf's reference does."
        )
    logging.warning("Left out of %s, as the answer does not lie in the context: %d\n%s", name, len(misplaced), listed)


def _train_batches(features: Features, feed: Feed, *, length: int) -> tf.data.Dataset:
    """Endless batches (inputs, targets) of this pipeline's share, in another order in each epoch."""
    total = len(features)
    if feed.pipelines > total:
        raise MissingDataError(
            f"{total:,} training windows can't be shared by {feed.pipelines} pipelines: each needs one or more."
        )

    def batches() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        order = _endless(total, feed)
        while True:
            windows = list(itertools.islice(order, feed.batch_size))
            yield _inputs(features, windows, length), features.answers[windows]

    targets = tf.TensorSpec((feed.batch_size, 2), tf.int32)
    return _dataset(batches, (_specs(feed, length), targets), feed)


def _eval_batches(features: Features, feed: Feed, *, length: int) -> tf.data.Dataset:
    """Batches (inputs, targets, weights) of this pipeline's share, filled up with windows of weight 0."""
    total, size = len(features), feed.batch_size
    count = feed.batches_of(total)
    own = range(feed.index, total, feed.pipelines)

    def batches() -> Iterator[tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]]:
        for batch in range(count):
            windows = list(own[batch * size : (batch + 1) * size])
            weights = np.zeros(size, np.float32)
            weights[: len(windows)] = 1
            windows += [0] * (size - len(windows))
            numbers = np.array(windows, np.int32)[:, None]
            yield _inputs(features, windows, length), np.hstack([features.answers[windows], numbers]), weights

    targets, weights = tf.TensorSpec((size, 3), tf.int32), tf.TensorSpec((size,), tf.float32)
    dataset = _dataset(batches, (_specs(feed, length), targets, weights), feed)
    return dataset.apply(tf.data.experimental.assert_cardinality(count))


def _endless(total: int, feed: Feed) -> Iterator[int]:
    """The numbers of this pipeline's windows. All pipelines shuffle all windows alike, and each takes every n-th."""
    for epoch in itertools.count():
        order = np.random.default_rng((feed.seed, epoch)).permutation(total)
        yield from order[feed.index :: feed.pipelines].tolist()


def _inputs(features: Features, windows: Sequence[int], length: int) -> dict[str, np.ndarray]:
    return dict(zip(_INPUTS, features.batch(windows, length), strict=True))


def _specs(feed: Feed, length: int) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec((feed.batch_size, length), tf.int32) for name in _INPUTS}


def _dataset(batches: Callable[[], Iterator[tuple[object, ...]]], signature: object, feed: Feed) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))
