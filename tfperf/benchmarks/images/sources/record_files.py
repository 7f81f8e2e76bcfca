"""A split whose records are in TFRecord files."""

from __future__ import annotations

import concurrent.futures
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.images.sources.split import SHUFFLE_BUFFER, Pass, Split, every_nth
from tfperf.benchmarks.records import counts as record_counts
from tfperf.benchmarks.records import record_file

_COUNTING_THREADS = 32  # a file system far away answers many at the same time


def split_of(
    paths: tuple[pathlib.Path, ...],
    known: Mapping[pathlib.Path, int],
    *,
    cycle_length: int,
    parse: Callable[..., Any],
    title: Callable[[tf.Tensor], tf.Tensor],
) -> Split:
    """The split whose records are in these files.

    Args:
        paths: TFRecord files.
        known: the records in files that need not be counted.
        cycle_length: files that are read at the same time.
        parse: a record, and its name in a pass that is `named` -> its example.
        title: a record -> the name of its image.
    """
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
        parse=parse,
        pick=pick,
        where=where,
        title=title,
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
