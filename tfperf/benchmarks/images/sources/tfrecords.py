"""ImageNet TFRecords in the layout of the MLPerf reference: `train-00000-of-01024`, `validation-00000-of-00128`."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.images.sources import ImageNetRecords, record_files
from tfperf.benchmarks.images.sources.split import LabelledJpeg, Split, Splits, absent
from tfperf.benchmarks.records import counts as record_counts
from tfperf.errors import MissingDataError

FIRST_LABEL = 1
_CORNERS = ("ymin", "xmin", "ymax", "xmax")


def open_splits(source: ImageNetRecords, *, data_dir: pathlib.Path, needs_training: bool = True) -> Splits:
    """The splits in `data_dir`, or in its folders train/ and validation/.

    The number of examples in a file comes from `counts.json`, which `tfperf prepare imagenet` writes, if the file has
    the size that is given there. Otherwise its records are counted by their lengths: ImageNet's training set takes
    1.3 million small reads. With `needs_training` False the training files may be missing, and are counted only as
    far as they are needed.

    Raises:
        MissingDataError: there are other files than the source names.
        DamagedDataError: a file ends in the middle of a record.
    """
    evaluation = _shards(data_dir, "validation", count=source.eval_shards, field="eval_shards")
    known = record_counts.known(data_dir)
    split = _split(evaluation, known, source)
    try:
        train = _shards(data_dir, "train", count=source.train_shards, field="train_shards")
    except MissingDataError as error:
        if needs_training:
            raise
        return Splits(absent(str(error)), split)
    return Splits(_split(train, known, source), split)


def _split(paths: tuple[pathlib.Path, ...], known: Mapping[pathlib.Path, int], source: ImageNetRecords) -> Split:
    return record_files.split_of(paths, known, cycle_length=source.cycle_length, parse=_parse, title=_title)


def _title(record: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_single_example(record, {"image/filename": tf.io.FixedLenFeature([], tf.string, "")})[
        "image/filename"
    ]


def _parse(record: tf.Tensor, name: tf.Tensor | None = None) -> LabelledJpeg:
    features = tf.io.parse_single_example(record, _features())
    corners = [features[f"image/object/bbox/{corner}"] for corner in _CORNERS]
    return LabelledJpeg(
        features["image/encoded"], features["image/class/label"] - FIRST_LABEL, tf.stack(corners, axis=1)
    )


def _features() -> dict[str, Any]:
    boxes = {
        f"image/object/bbox/{corner}": tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
        for corner in _CORNERS
    }
    return {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        **boxes,
    }


def _shards(data_dir: pathlib.Path, name: str, *, count: int, field: str) -> tuple[pathlib.Path, ...]:
    expected = [f"{name}-{index:05d}-of-{count:05d}" for index in range(count)]
    folder = data_dir / name if (data_dir / name).is_dir() else data_dir
    pattern = re.compile(rf"{name}-\d{{5}}-of-(\d{{5}})")
    found = {path.name: match for path in folder.iterdir() if (match := pattern.fullmatch(path.name))}
    absent = [file for file in expected if file not in found]
    others = sorted({int(match[1]) for match in found.values()} - {count})
    if not absent and not others:
        return tuple(folder / file for file in expected)
    problem = f"{folder} must hold {count} files {expected[0]} to {expected[-1]}"
    if not found:
        raise MissingDataError(f"{problem}; there is none. Write them with `tfperf prepare imagenet`.")
    if others:
        raise MissingDataError(
            f"{problem}; it holds {len(found)} files, of {' and '.join(map(str, others))} shards."
            f" Pass --set data.source.tfrecords.{field}={others[0]}, or the folder of {count} shards."
        )
    listed = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
    raise MissingDataError(f"{problem}; {len(absent)} are missing: {listed}. Run `tfperf prepare imagenet` again.")
