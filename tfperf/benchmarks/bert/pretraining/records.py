"""Reads the TFRecords of pre-training: strictly, and every record counted."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message

from tfperf.benchmarks import data_directory, pipeline_options
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.source import PretrainingRecords
from tfperf.benchmarks.records import counts as record_counts
from tfperf.benchmarks.records import record_file
from tfperf.benchmarks.records.reason import reason_of
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

_SHUFFLE_BUFFER = 10_000
_SHOWN = 20
_VOCABULARY_FILE = "vocab.txt"
_LARGEST_MULTIPLE = 128  # a vocabulary may be padded to a multiple of this, which computes faster
_TRAIN_FILE = re.compile(r"part-(\d{5})-of-(\d{5})")

_TOKENS = ("input_ids", "input_mask", "segment_ids")
_MASKED = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
_NEXT = "next_sentence_labels"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RecordFiles:
    """The files of a split, with the records in each."""

    paths: tuple[pathlib.Path, ...]
    counts: tuple[int, ...]

    @property
    def examples(self) -> int:
        """Records in all of them."""
        return sum(self.counts)

    def shares(self, pipelines: int) -> list[int]:
        """The records that each pipeline reads."""
        if len(self.paths) < pipelines:
            return [len(range(index, self.examples, pipelines)) for index in range(pipelines)]
        return [sum(self.counts[index::pipelines]) for index in range(pipelines)]


def open_records(source: PretrainingRecords, options: PretrainingOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the records, counts them, and reads the first of each split to see whether they fit the model.

    The number of records in a file comes from `counts.json`, which `tfperf prepare` writes, if the file has the size
    that is given there. Otherwise its records are counted by their lengths.

    Raises:
        MissingDataError: files are missing.
        DamagedDataError: a file is truncated, or a first record lacks a feature.
        UsageError: the records have other lengths than the model, or another vocabulary.
    """
    folder = data_directory.readable(data_dir)
    train_paths, eval_path = _train_files(source, folder), _eval_file(source, folder)
    _check_vocabulary(folder, options)
    known = record_counts.known(folder)
    train, evaluation = _counted(train_paths, known), _counted((eval_path,), known)
    for path in (train_paths[0], eval_path):
        _check_first(path, options)
    identity = [[path.name, path.stat().st_size] for path in (*train_paths, eval_path)]
    return OpenData(
        train_examples=train.examples,
        eval_examples=evaluation.examples,
        train=functools.partial(_train_batches, train, source=source, options=options),
        evaluation=functools.partial(_eval_batches, evaluation, options=options),
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        diagnose=functools.partial(_diagnose, files=(*train_paths, eval_path), known=known, options=options),
    )


def _train_batches(
    files: _RecordFiles, feed: Feed, *, source: PretrainingRecords, options: PretrainingOptions
) -> tf.data.Dataset:
    """Endless whole batches (inputs, targets), the records in another order in each epoch."""
    if files.shares(feed.pipelines)[feed.index] == 0:
        raise MissingDataError(
            f"{files.examples} training examples can't be shared by {feed.pipelines} pipelines: each needs one or more."
        )
    names = tf.data.Dataset.from_tensor_slices([str(path) for path in files.paths])
    cycle = source.cycle_length
    if len(files.paths) >= feed.pipelines:
        mine = names.shard(feed.pipelines, feed.index).shuffle(len(files.paths), seed=feed.seed)
        found = mine.interleave(tf.data.TFRecordDataset, cycle_length=cycle, num_parallel_calls=tf.data.AUTOTUNE)
    else:  # every pipeline takes every n-th record, so all must see the same order
        found = names.interleave(tf.data.TFRecordDataset, cycle_length=cycle).shard(feed.pipelines, feed.index)
    batches = (
        found.shuffle(_SHUFFLE_BUFFER, seed=feed.seed)
        .repeat()
        .batch(feed.batch_size, drop_remainder=True)
        .map(functools.partial(_parsed, options=options), num_parallel_calls=tf.data.AUTOTUNE)
    )
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def _eval_batches(files: _RecordFiles, feed: Feed, *, options: PretrainingOptions) -> tf.data.Dataset:
    """Batches (inputs, targets, weights) with each record once over all pipelines, then examples of weight 0."""
    records = tf.data.TFRecordDataset([str(path) for path in files.paths])
    records = records.apply(tf.data.experimental.assert_cardinality(files.examples))
    records = records.shard(feed.pipelines, feed.index)
    mine = len(range(feed.index, files.examples, feed.pipelines))
    filling = feed.batches_of(files.examples) * feed.batch_size - mine
    nothing = tf.data.Dataset.from_tensors((_empty_record(options), 0.0)).repeat(filling)
    weighted = records.map(lambda record: (record, 1.0)).concatenate(nothing)

    def parse(records: tf.Tensor, weights: tf.Tensor) -> tuple[Any, Any, tf.Tensor]:
        return (*_parsed(records, options=options), weights)

    batches = weighted.batch(feed.batch_size, drop_remainder=True).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(pipeline_options.of(feed))


def _features(options: PretrainingOptions) -> dict[str, Any]:
    whole, some = [options.sequence_length], [options.predictions]
    return {
        **{name: tf.io.FixedLenFeature(whole, tf.int64) for name in _TOKENS},
        **{name: tf.io.FixedLenFeature(some, tf.int64) for name in _MASKED[:2]},
        _MASKED[2]: tf.io.FixedLenFeature(some, tf.float32),
        _NEXT: tf.io.FixedLenFeature([1], tf.int64),
    }


def _parsed(records: tf.Tensor, *, options: PretrainingOptions) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """The inputs and targets of a batch of records. A value out of range is an error: a GPU would take it for 0."""
    found = tf.io.parse_example(records, _features(options))
    in_range = [tf.reduce_all((found[name] >= 0) & (found[name] < limit)) for name, limit in _limits(options).items()]
    weights = found["masked_lm_weights"]
    in_range.append(tf.reduce_all((weights == 0) | (weights == 1)))
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(in_range), ["A record holds a value out of range."])]
    ):
        whole = {name: tf.cast(tensor, tf.int32) for name, tensor in found.items()}
    inputs = {name: whole[name] for name in (*_TOKENS, "masked_lm_positions")}
    targets = {
        "masked_lm": tf.where(weights > 0, whole["masked_lm_ids"], -1),
        "next_sentence": whole[_NEXT][:, 0],
    }
    return inputs, targets


def _limits(options: PretrainingOptions) -> Mapping[str, int]:
    """What each number must be below."""
    return {
        "input_ids": options.encoder.vocabulary_size,
        "input_mask": 2,
        "segment_ids": options.encoder.token_types,
        "masked_lm_positions": options.sequence_length,
        "masked_lm_ids": options.encoder.vocabulary_size,
        _NEXT: 2,
    }


def _empty_record(options: PretrainingOptions) -> bytes:
    """A record of zeros."""
    integers = {name: options.sequence_length for name in _TOKENS} | {name: options.predictions for name in _MASKED[:2]}
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=[0] * count))
        for name, count in {**integers, _NEXT: 1}.items()
    }
    features[_MASKED[2]] = tf.train.Feature(float_list=tf.train.FloatList(value=[0.0] * options.predictions))
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return record


def _train_files(source: PretrainingRecords, folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    found = {name: int(match[2]) for name in os.listdir(folder) if (match := _TRAIN_FILE.fullmatch(name))}
    numbers = sorted(set(found.values()))
    advice = "Write them with `tfperf prepare wikipedia` or `tfperf prepare text`."
    if not numbers:
        raise MissingDataError(f"{folder} holds no training file such as part-00000-of-00500. {advice}")
    if len(numbers) > 1 or source.train_shards not in (None, numbers[0]):
        wanted = "one number of" if source.train_shards is None else str(source.train_shards)
        raise MissingDataError(
            f"{folder} must hold {wanted} training files; it holds some of {' and '.join(map(str, numbers))}. "
            f"Pass --set data.source.tfrecords.train_shards={numbers[0]}, or another folder."
        )
    expected = [f"part-{number:05d}-of-{numbers[0]:05d}" for number in range(numbers[0])]
    absent = [name for name in expected if name not in found]
    if absent:
        listed = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
        raise MissingDataError(
            f"{folder}: {len(absent)} of {numbers[0]} training files are missing: {listed}. {advice}"
        )
    return tuple(folder / name for name in expected)


def _eval_file(source: PretrainingRecords, folder: pathlib.Path) -> pathlib.Path:
    path = folder / source.eval_file
    if not path.is_file():
        others = [name for name in ("eval_10k", "eval") if (folder / name).is_file()]
        advice = f"Pass --set data.source.tfrecords.eval_file={others[0]}." if others else "Prepare the data again."
        raise MissingDataError(f"{path} is missing: the records of the evaluation. {advice}")
    return path


def _check_vocabulary(folder: pathlib.Path, options: PretrainingOptions) -> None:
    """Refuses a model for another vocabulary, and a `vocab.txt` that the records were not made with."""
    path = folder / _VOCABULARY_FILE
    if not path.is_file():
        return
    vocabulary = vocabularies.read(path)
    noted = record_counts.content(folder).get("vocabulary")
    if isinstance(noted, dict) and noted.get("sha256") != vocabulary.digest:
        raise DamagedDataError(
            f"{path} is not the vocabulary of the records beside it, which had {noted.get('pieces')} pieces; it has "
            f"{len(vocabulary)}. Put that one back, or prepare the data again."
        )
    size, pieces = options.encoder.vocabulary_size, len(vocabulary)
    if not pieces <= size < pieces + _LARGEST_MULTIPLE:
        raise UsageError(
            f"{path} has {pieces} word pieces, model.encoder.vocabulary_size is {size}. Accepted are {pieces} to "
            f"{pieces + _LARGEST_MULTIPLE - 1}. Pass --set model.encoder.vocabulary_size={pieces}."
        )


def _counted(paths: Sequence[pathlib.Path], known: Mapping[pathlib.Path, int]) -> _RecordFiles:
    found = tuple(known[path] if path in known else record_file.count(path) for path in paths)
    for path, count in zip(paths, found, strict=True):
        if count == 0:
            raise DamagedDataError(f"{path} holds no record. Prepare the data again.")
    return _RecordFiles(paths=tuple(paths), counts=found)


def _check_first(path: pathlib.Path, options: PretrainingOptions) -> None:
    try:
        first = next(iter(tf.data.TFRecordDataset(str(path)).take(1))).numpy()
    except tf.errors.OpError as error:
        raise DamagedDataError(f"{path} record 0: {reason_of(error)}. Replace the file.") from error
    for misfit in _misfits(first, options):
        raise misfit(f"{path} record 0")


def _misfits(record: bytes, options: PretrainingOptions) -> Iterator[Callable[[str], Exception]]:
    """What is wrong with a record: functions from its name to an error."""
    try:
        features = tf.train.Example.FromString(record).features.feature
    except message.DecodeError as error:
        reason = f"no tf.train.Example: {error}"
        yield lambda name: DamagedDataError(f"{name}: {reason}. Replace the file.")
        return
    wanted = _features(options)
    missing = [name for name in wanted if name not in features]
    if missing:
        yield lambda name: DamagedDataError(
            f"{name}: lacks {', '.join(missing)}. Accepted are the features of MLPerf's reference: {', '.join(wanted)}."
        )
        return
    values = {
        name: np.asarray(features[name].float_list.value if name == _MASKED[2] else features[name].int64_list.value)
        for name in wanted
    }
    for field, names in (("sequence_length", _TOKENS), ("predictions", _MASKED)):
        for feature in names:
            if values[feature].size != getattr(options, field):
                yield functools.partial(_length_error, feature, values[feature].size, field, getattr(options, field))
                return
    if values[_NEXT].size != 1:
        yield lambda name: DamagedDataError(f"{name}: {_NEXT} holds {values[_NEXT].size} values, 1 is accepted.")
        return
    for feature, limit in _limits(options).items():
        wrong = values[feature][(values[feature] < 0) | (values[feature] >= limit)]
        if wrong.size:
            yield functools.partial(_range_error, feature, int(wrong[0]), limit)
            return
    if not np.isin(values[_MASKED[2]], (0, 1)).all():
        yield lambda name: DamagedDataError(f"{name}: {_MASKED[2]} must be 0 or 1. Prepare the data again.")


def _length_error(feature: str, found: int, field: str, wanted: int, name: str) -> Exception:
    if found == 0:
        return DamagedDataError(f"{name}: {feature} holds no values of its type. Prepare the data again.")
    return UsageError(
        f"{name}: {feature} holds {found} values, model.{field} is {wanted}. Pass --set model.{field}={found}, or "
        f"prepare the data with --{field}={wanted}."
    )


def _range_error(feature: str, found: int, limit: int, name: str) -> Exception:
    hint = " The vocabulary is another: set model.encoder.vocabulary_size to its size." if "ids" in feature else ""
    return DamagedDataError(f"{name}: {feature} holds {found}, accepted are 0 to {limit - 1}.{hint}")


def _diagnose(
    error: Exception,
    *,
    files: Sequence[pathlib.Path],
    known: Mapping[pathlib.Path, int],
    options: PretrainingOptions,
) -> Exception | None:
    """The damaged files and records behind an error that came from reading; None if the data is not to blame."""
    # A message of TensorFlow that quotes a garbled record can't be decoded, so it comes as this.
    from_reading = isinstance(error, (tf.errors.DataLossError, UnicodeDecodeError)) or (
        isinstance(error, tf.errors.OpError) and "IteratorGetNext" in str(error)
    )
    if not from_reading:
        return None
    damaged = record_counts.damage(files, known)
    if damaged:
        return _report(f"damaged files: {len(damaged)}", damaged)
    unusable = tuple(
        str(misfit(f"{path} record {number}"))
        for path in files
        for number, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        for misfit in _misfits(record, options)
    )
    return _report(f"unusable records: {len(unusable)}", unusable) if unusable else None


def _report(title: str, lines: Sequence[str]) -> DamagedDataError:
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    listed = "\n".join(f"  {line}" for line in (*lines[:_SHOWN], *more))
    return DamagedDataError(f"{title}\n{listed}\nReplace them, or prepare the data again.")
