"""The images with boxes that a source names, as batches."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib

import numpy as np
import tensorflow as tf
from absl import logging

from tfperf import spec
from tfperf.benchmarks import data_directory
from tfperf.benchmarks.benchmark import OpenData
from tfperf.benchmarks.detection.data import coco, image_size, records, scenes, tfds_objects, voc
from tfperf.benchmarks.detection.data.annotated_split import DetectionSplit, DetectionSplits, in_files, no_images
from tfperf.benchmarks.detection.data.annotations import Annotations
from tfperf.benchmarks.detection.data.batches import eval_batches, train_batches
from tfperf.benchmarks.detection.data.found import FoundAnnotations
from tfperf.benchmarks.detection.data.preprocessing import AnnotatedJpeg, DetectionPreprocessing
from tfperf.benchmarks.detection.data.sources import (
    SOURCES,
    CocoFolder,
    DetectionRecords,
    DetectionTfds,
    DrawnScenes,
    VocFolder,
)
from tfperf.benchmarks.detection.exhibits import Gallery
from tfperf.benchmarks.images import file_check
from tfperf.benchmarks.images.diagnosis import diagnose
from tfperf.benchmarks.images.sources.split import Splits
from tfperf.errors import ConfigError, MissingDataError

_SHOWN = 10


def open_data(data: spec.Data, preprocessing: DetectionPreprocessing, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the images of `data.source` and reads their annotations; decodes no image.

    Damage that was found is logged, with what was done about it.

    Args:
        data: the source. Corrupt images can't be skipped.
        preprocessing: what the model needs.
        data_dir: the directory of the source; None for the embedded scenes.

    Raises:
        ConfigError: `data.source` is not one of SOURCES, or corrupt images are to be skipped.
        MissingDataError, DamagedDataError: as `open_splits`.
    """
    if data.skip_corrupt:
        raise ConfigError(
            (
                f"data.skip_corrupt must be 0 for images with boxes, got {data.skip_corrupt}. Leave corrupt images out "
                "with `tfperf prepare ... --skip_unreadable`.",
            )
        )
    splits = open_splits(data.source, classes=preprocessing.classes, data_dir=data_dir)
    for note in splits.notes:
        logging.warning("%s", note)
    images = Splits(splits.train.images, splits.evaluation.images)
    identity = [splits.classes.names, *(split.identity for split in images)]
    return OpenData(
        train_examples=images.train.examples,
        eval_examples=images.evaluation.examples,
        train=functools.partial(train_batches, splits.train, preprocessing=preprocessing),
        evaluation=functools.partial(eval_batches, splits.evaluation, preprocessing=preprocessing),
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        diagnose=functools.partial(
            diagnose,
            splits=images,
            problem=functools.partial(object_problem, classes=preprocessing.classes),
            skipped=None,
        ),
        exhibit=Gallery(split=images.evaluation, classes=splits.classes.names).exhibit,
    )


def open_splits(
    source: object, *, classes: int, data_dir: pathlib.Path | None, needs_training: bool = True
) -> DetectionSplits:
    """Finds the splits of `source`; with `needs_training` False the training split may be left out.

    Raises:
        ConfigError: it is not one of SOURCES.
        MissingDataError: the data is not there, not in the expected layout, or of another number of classes.
        DamagedDataError: annotations or files are damaged, or don't fit each other.
    """
    if isinstance(source, DrawnScenes):
        found = scenes.open_scenes(source, needs_training=needs_training)
    elif isinstance(source, VocFolder):
        found = _in_folder(voc.read(source, data_directory.readable(data_dir)))
    elif isinstance(source, DetectionRecords):
        found = records.open_records(source, data_directory.readable(data_dir), needs_training=needs_training)
    elif isinstance(source, DetectionTfds):
        where = None if data_dir is None else data_directory.readable(data_dir)
        found = tfds_objects.open_tfds(source, where, needs_training=needs_training)
    elif isinstance(source, CocoFolder):
        found = _in_folder(coco.read(source, data_directory.readable(data_dir), needs_training=needs_training))
    else:
        accepted = ", ".join(kind.__name__ for kind in SOURCES)
        raise ConfigError((f"data.source: got {source!r}. Accepted: {accepted}.",))
    if len(found.classes) != classes:
        names = found.classes.names
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise MissingDataError(
            f"{len(names)} classes found ({shown}), the model has {classes}. Pass --set model.classes={len(names)}."
        )
    return found


def _in_folder(found: FoundAnnotations) -> DetectionSplits:
    """The images of a folder, every one of which is opened and whose size is compared."""
    train, evaluation = (
        no_images("They were not looked for.") if split is None else _checked(split.annotations, found.folder)
        for split in (found.train, found.evaluation)
    )
    file_check.check(Splits(train.images, evaluation.images), skip_corrupt=0)
    return DetectionSplits(train=train, evaluation=evaluation, classes=found.classes, notes=found.notes)


def _checked(annotations: Annotations, folder: pathlib.Path) -> DetectionSplit:
    image_size.check(annotations, folder)
    return in_files(annotations, folder)


def object_problem(example: AnnotatedJpeg, *, classes: int) -> str | None:
    """What is wrong with the objects of an image for a model of so many classes; None if that is nothing."""
    numbers, boxes = np.asarray(example.classes), np.asarray(example.boxes)
    strange = numbers[(numbers < 0) | (numbers >= classes)]
    if strange.size:
        return f"an object is of class {strange[0]}, accepted are 0 to {classes - 1}"
    if not (np.isfinite(boxes).all() and (boxes[:, :2] < boxes[:, 2:]).all()):
        return "a box has no area"
    stated = tf.io.extract_jpeg_shape(example.encoded)[:2].numpy().tolist()
    return image_size.differs(np.asarray(example.size).tolist()[::-1], stated[::-1])
