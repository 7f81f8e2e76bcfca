"""The evaluation images as samples: any of them by its number, preprocessed as evaluation does it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.images.data import open_splits
from tfperf.benchmarks.images.diagnosis import unusable
from tfperf.benchmarks.images.preprocessing import Preprocessing
from tfperf.benchmarks.images.sources.split import LabelledJpeg, Split
from tfperf.benchmarks.records.reason import reason_of
from tfperf.benchmarks.tensor import Sample
from tfperf.errors import DamagedDataError

# What reading raises when a file is gone, garbled, or holds no image.
_DAMAGE = (tf.errors.InvalidArgumentError, tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.OutOfRangeError)


def open_samples(data: spec.Data, preprocessing: Preprocessing, data_dir: pathlib.Path | None) -> OpenSamples:
    """Finds the evaluation split of `data.source`; reads names, labels and metadata, and no image.

    Samples are numbered in the order of the split. Names hold no white space, which would split a line of a
    val_map.txt. An image that can't be decoded is an error, whatever `data.skip_corrupt` says.

    Calibration takes images of the training split, so that none of them is evaluated on. MLPerf's own list for
    ImageNet, with which a closed submission must quantise, names 500 images of the validation set
    (calibration/ImageNet of mlcommons/inference).

    Args:
        data: the source.
        preprocessing: the preprocessing that the model needs.
        data_dir: the directory of the source, as in training.

    Raises:
        MissingDataError: the data is not there, or not in the expected layout.
        DamagedDataError: a file is truncated. `load`, `labels`, `names` and `calibration` raise it, too, naming the
            record.
    """
    train, split = open_splits(data.source, classes=preprocessing.classes, data_dir=data_dir, needs_training=False)
    return dataclasses.replace(
        _opened(split, range(split.examples), preprocessing=preprocessing),
        calibration=functools.partial(_calibration, train, preprocessing=preprocessing),
    )


def _load(split: Split, numbers: Sequence[int], preprocessing: Preprocessing) -> list[Sample]:
    """The images with these numbers, in this order, each float32 [size, size, 3]."""

    def prepare(example: LabelledJpeg, title: tf.Tensor) -> tf.Tensor:
        return preprocessing.evaluate(example.encoded)

    return [(image,) for image in picked(split, numbers, prepare)]


def _opened(split: Split, numbers: Sequence[int], *, preprocessing: Preprocessing) -> OpenSamples:
    """These records of a split, renumbered from 0."""
    listed = functools.cache(lambda: _listed(split, numbers, classes=preprocessing.classes))

    def chosen(indices: Sequence[int]) -> list[int]:
        outside = [index for index in indices if not 0 <= index < len(numbers)]
        if outside and numbers:
            raise ValueError(f"Samples have the numbers 0 to {len(numbers) - 1}, got {outside[0]}.")
        return [numbers[index] for index in indices]

    return OpenSamples(
        total=len(numbers),
        load=lambda indices: _load(split, chosen(indices), preprocessing),
        labels=lambda: listed()[1],
        names=lambda: listed()[0],
        fingerprint=hashlib.sha256(json.dumps(split.identity).encode()).hexdigest(),
        diagnose=lambda error: error if isinstance(error, DamagedDataError) else None,
    )


def _calibration(split: Split, n: int, *, preprocessing: Preprocessing) -> OpenSamples:
    """The first n of a split; if its records are sorted by class, n evenly spaced ones."""
    total = split.examples if split.by_class or split.at_most is None else split.at_most(n)
    if not total:
        split.pick(range(n))  # raises, saying what is missing
    taken = min(n, total)
    numbers = [index * total // taken for index in range(taken)] if split.by_class else range(taken)
    return _opened(split, numbers, preprocessing=preprocessing)


def _listed(split: Split, numbers: Sequence[int], *, classes: int) -> tuple[tuple[str, ...], np.ndarray]:
    """The names and the labels of records: what a list of files knows is not read from the files."""
    names, labels = [], []
    for number, (title, label) in zip(numbers, picked(split, numbers, _answer), strict=True):
        where = split.where(number)
        if not 0 <= label < classes:
            raise unusable(where, f"its label is class {label}, accepted are 0 to {classes - 1}")
        names.append("_".join((title.decode(errors="replace") or pathlib.Path(where).name).split()))
        labels.append(label)
    return tuple(names), np.array(labels, np.int64)


def _answer(example: LabelledJpeg, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return title, tf.cast(example.label, tf.int64)


def picked(split: Split, numbers: Sequence[int], prepare: Callable[[Any, tf.Tensor], Any]) -> Iterator[Any]:
    """`prepare(example, title)` of the records with these numbers, in this order, as NumPy values.

    Yields:
        Each as soon as it is ready.

    Raises:
        DamagedDataError: a record can't be read or prepared; names it.
    """

    def prepared(*record: Any) -> Any:
        example = split.parse(*record)
        return prepare(example, split.title(*record))

    dataset = split.pick(numbers).map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    done = 0
    try:
        for value in dataset.with_options(_options()).as_numpy_iterator():
            yield value
            done += 1
    except _DAMAGE as error:
        raise unusable(split.where(numbers[done]), reason_of(error)) from error  # errors come in order, too


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1  # as in training: the images are shared among the threads
    options.threading.private_threadpool_size = 0  # as many as processors, however few threads the model may have
    return options
