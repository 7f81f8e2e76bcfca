"""ImageNet TFRecords in the layout of the MLPerf reference: `train-00000-of-01024`, `validation-00000-of-00128`."""

from __future__ import annotations

import concurrent.futures
import functools
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.benchmarks.images.sources.split import (
    SHUFFLE_BUFFER,
    LabelledJpeg,
    Pass,
    Split,
    Splits,
    absent,
    every_nth,
)
from tfperf.benchmarks.records import counts as record_counts
from tfperf.benchmarks.records import record_file
from tfperf.errors import MissingDataError

_COUNTING_THREADS = 32  # a file system far away answers many at the same time
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
    split = _split(evaluation, known, cycle_length=source.cycle_length)
    try:
        train = _shards(data_dir, "train", count=source.train_shards, field="train_shards")
    except MissingDataError as error:
        if needs_training:
            raise
        return Splits(absent(str(error)), split)
    return Splits(_split(train, known, cycle_length=source.cycle_length), split)


def _split(paths: tuple[pathlib.Path, ...], known: Mapping[pathlib.Path, int], *, cycle_length: int) -> Split:
    names = [str(path) for path in paths]
    count = functools.cache(lambda path: known[path] if path in known else record_file.count(path))

    @functools.cache
    def counts() -> tuple[int, ...]:
        with concurrent.futures.ThreadPoolExecutor(_COUNTING_THREADS) as pool:
            return tuple(pool.map(count, paths))

    def shares(pipelines: int) -> tuple[int, ...]:
        if len(names) < pipelines:
            return every_nth(sum(counts()), pipelines)
        return tuple(sum(counts()[index::pipelines]) for index in range(pipelines))

    def at_most(limit: int) -> int:
        found = 0
        for path in paths:
            found += count(path) if found < limit else 0
        return min(found, limit)

    def records(way: Pass) -> tf.data.Dataset:
        read = _named_records if way.named else tf.data.TFRecordDataset
        shuffled = way.shuffle_seed is not None
        files = tf.data.Dataset.from_tensor_slices(names)
        if len(names) >= way.pipelines:
            files = files.shard(way.pipelines, way.index)
            files = files.shuffle(len(names), seed=way.shuffle_seed) if shuffled else files
            found = files.interleave(read, cycle_length=cycle_length, num_parallel_calls=tf.data.AUTOTUNE)
        else:  # every pipeline takes every n-th record, so all must see the same order
            found = files.interleave(read, cycle_length=cycle_length).shard(way.pipelines, way.index)
        return found.shuffle(SHUFFLE_BUFFER, seed=way.shuffle_seed) if shuffled else found

    index = record_file.Index(record_file.Part(path, 0, count(path), count(path)) for path in paths)

    def pick(numbers: Sequence[int]) -> tf.data.Dataset:
        locations = [index.find(number) for number in numbers]
        paths, offsets = [str(each.path) for each in locations], [each.offset for each in locations]
        found = tf.data.Dataset.from_tensor_slices((tf.constant(paths, tf.string), tf.constant(offsets, tf.int64)))
        return found.map(record_file.read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def where(number: int) -> str:
        found = index.find(number)
        return f"{found.path} record {found.record}"

    return Split(
        shares=shares,
        records=records,
        name=_name,
        parse=_parse,
        pick=pick,
        where=where,
        title=_title,
        identity=[[path.name, path.stat().st_size] for path in paths],
        at_most=at_most,
        damage=lambda: record_counts.damage(paths, known),
    )


def _named_records(file: tf.Tensor) -> tf.data.Dataset:
    return (
        tf.data.TFRecordDataset(file)
        .enumerate()
        .map(lambda index, record: (record, tf.strings.join([file, tf.strings.as_string(index)], separator=" record ")))
    )


def _name(record: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    return name


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
