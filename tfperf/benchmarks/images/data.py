"""The photographs in the data directory, as batches."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib

from tfperf import spec
from tfperf.benchmarks import data_directory
from tfperf.benchmarks.benchmark import OpenData
from tfperf.benchmarks.images import file_check
from tfperf.benchmarks.images.batches import eval_batches, train_batches
from tfperf.benchmarks.images.diagnosis import diagnose, label_problem
from tfperf.benchmarks.images.preprocessing import Preprocessing
from tfperf.benchmarks.images.skipping import Skipped
from tfperf.benchmarks.images.sources import SOURCES, Folder, ImageNetRecords, Tfds, folder, tfds_set, tfrecords
from tfperf.benchmarks.images.sources.split import Splits
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.errors import ConfigError


def open_data(data: spec.Data, preprocessing: Preprocessing, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the examples of `data.source`; reads names, labels, metadata and the ends of files, and no image.

    Args:
        data: the source, and how many corrupt images may be left out.
        preprocessing: the preprocessing that the model needs.
        data_dir: the directory of the source. None is accepted for the embedded data and TFDS, which have a default.

    Raises:
        MissingDataError: the data is not there, or not in the expected layout.
        DamagedDataError: a file is truncated or no JPEG, or is in both splits.
    """
    splits = open_splits(data.source, classes=preprocessing.classes, data_dir=data_dir)
    file_check.check(splits, skip_corrupt=data.skip_corrupt)
    skipped = Skipped(data.skip_corrupt)
    return OpenData(
        train_examples=splits.train.examples,
        eval_examples=splits.evaluation.examples,
        train=functools.partial(train_batches, splits.train, preprocessing=preprocessing, skipped=skipped),
        evaluation=functools.partial(eval_batches, splits.evaluation, preprocessing=preprocessing, skipped=skipped),
        fingerprint=hashlib.sha256(json.dumps([split.identity for split in splits]).encode()).hexdigest(),
        diagnose=functools.partial(
            diagnose,
            splits=splits,
            problem=functools.partial(label_problem, classes=preprocessing.classes),
            skipped=skipped,
        ),
        skipped=lambda: skipped.lines,
    )


def open_splits(source: object, *, classes: int, data_dir: pathlib.Path | None, needs_training: bool = True) -> Splits:
    """Finds the splits of `source`; with `needs_training` False an evaluation split alone will do.

    Raises:
        ConfigError: it is not one of SOURCES.
        MissingDataError, DamagedDataError: as `open_data`.
    """
    if isinstance(source, Shapes):
        from tfperf.benchmarks.shapes import builder as shapes

        builder = shapes.prepared_builder(data_dir, source)
        return tfds_set.builder_splits(builder, train="train", evaluation="validation", classes=classes)
    if isinstance(source, Tfds):
        where = None if data_dir is None else data_directory.readable(data_dir)
        return tfds_set.open_splits(source, data_dir=where, classes=classes, needs_training=needs_training)
    if isinstance(source, ImageNetRecords):
        return tfrecords.open_splits(source, data_dir=data_directory.readable(data_dir), needs_training=needs_training)
    if isinstance(source, Folder):
        return folder.open_splits(
            source, data_dir=data_directory.readable(data_dir), classes=classes, needs_training=needs_training
        )
    raise ConfigError((f"data.source: got {source!r}. Accepted: {', '.join(kind.__name__ for kind in SOURCES)}.",))
