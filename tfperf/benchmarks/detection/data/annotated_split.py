"""Splits of annotated images: `Split` of `images`, whose examples have boxes."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfperf.benchmarks.detection.data.annotations import Annotations, ClassList
from tfperf.benchmarks.detection.data.preprocessing import AnnotatedJpeg
from tfperf.benchmarks.images.sources import folder as photographs
from tfperf.benchmarks.images.sources.split import FileEnds, Pass, Split, absent, every_nth


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionSplit:
    """One split of a source of images with boxes.

    Attributes:
        images: its images; an example is an `AnnotatedJpeg`.
        most_objects: no image has more objects than this.
    """

    images: Split
    most_objects: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionSplits:
    """Both splits of a source, and their classes.

    Attributes:
        train: the images to train on.
        evaluation: the held-out images.
        classes: the classes of both.
        notes: the damage that was found and what was done with it, one line each.
    """

    train: DetectionSplit
    evaluation: DetectionSplit
    classes: ClassList
    notes: tuple[str, ...] = ()


def no_images(reason: str) -> DetectionSplit:
    """A split without images; reading it raises a MissingDataError that says `reason`."""
    return DetectionSplit(images=absent(reason), most_objects=0)


def in_files(annotations: Annotations, folder: pathlib.Path) -> DetectionSplit:
    """The images of files in `folder`.

    Raises:
        MissingDataError: a file has a name that TensorFlow can't open.
    """
    paths = [folder / file for file in annotations.files]
    names = [str(path) for path in paths]
    files = photographs.files(paths, [0] * len(paths), titles=annotations.files)
    listed = tf.constant(names)
    return _split(annotations, lambda number: tf.io.read_file(listed[number]), places=names, ends=files.ends)


def in_memory(annotations: Annotations, jpegs: Sequence[bytes]) -> DetectionSplit:
    """Images whose JPEG files are in memory."""
    content = tf.constant(list(jpegs), tf.string)
    return _split(annotations, lambda number: content[number], places=annotations.files)


def _split(
    annotations: Annotations,
    encoded: Callable[[tf.Tensor], tf.Tensor],
    *,
    places: Sequence[str],
    ends: Callable[[], tuple[FileEnds, ...]] = tuple,
) -> DetectionSplit:
    """A split whose records are the numbers of its images."""
    total = len(annotations)
    columns = {name: tf.constant(getattr(annotations, name)) for name in ("classes", "crowd", "difficult", "areas")}
    columns["boxes"] = tf.constant(annotations.boxes)
    starts = tf.constant(annotations.starts)
    sizes = tf.constant(np.stack([annotations.heights, annotations.widths], axis=1))
    names, listed = tf.constant(annotations.image_ids, tf.string), tf.constant(list(places), tf.string)

    def records(way: Pass) -> tf.data.Dataset:
        numbers = tf.data.Dataset.range(total).shard(way.pipelines, way.index)
        mine = every_nth(total, way.pipelines)[way.index]
        return numbers if way.shuffle_seed is None else numbers.shuffle(max(1, mine), seed=way.shuffle_seed)

    def parse(number: tf.Tensor) -> AnnotatedJpeg:
        objects = {name: column[starts[number] : starts[number + 1]] for name, column in columns.items()}
        return AnnotatedJpeg(encoded=encoded(number), number=number, size=sizes[number], **objects)

    images = Split(
        shares=functools.partial(every_nth, total),
        records=records,
        name=lambda number: listed[number],
        parse=parse,
        pick=lambda numbers: tf.data.Dataset.from_tensor_slices(tf.constant(numbers, tf.int64)),
        where=lambda number: places[number],
        title=lambda number: names[number],
        identity=annotations.digest,
        ends=ends,
    )
    return DetectionSplit(images=images, most_objects=annotations.most_objects)
