"""Finds the file or record that made reading fail, which TensorFlow's errors don't name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.images import file_format
from tfperf.benchmarks.images.skipping import Skipped
from tfperf.benchmarks.images.sources.split import LabelledJpeg, Pass, Split, Splits
from tfperf.benchmarks.records.reason import reason_of
from tfperf.errors import DamagedDataError

_SHOWN = 20


def diagnose(
    error: Exception, *, splits: Splits, problem: Callable[[Any], str | None], skipped: Skipped | None
) -> DamagedDataError | None:
    """The damaged files and records behind `error`, by name, or None if the data is not to blame.

    Reads and decodes both splits when the error came from reading.

    Args:
        error: what reading or training raised.
        splits: the data.
        problem: an example -> what is wrong with its label or its objects; None if that is nothing.
        skipped: the images that were skipped; None if none may be.
    """
    if skipped is not None and skipped.exceeded:
        advice = "Replace them, or allow more in an open or internal run."
        found = f"{len(skipped.lines)} corrupt images were found, data.skip_corrupt allows {skipped.limit}"
        return _report(found, skipped.lines, advice)
    if not _is_from_reading(error):
        return None
    containers = splits.train.damage() + splits.evaluation.damage()
    if containers:
        return _report(_counted(containers, "damaged file"), containers, "Replace them.")
    images = (
        # Training decodes a crop of an image, evaluation all of it: that fails for more pixels than TensorFlow decodes.
        damaged_records(splits.train, problem=problem, scale=8) + damaged_records(splits.evaluation, problem=problem)
        or damaged_records(splits.train, problem=problem)
    )
    if not images:
        return None
    skip = f" Open and internal runs may skip corrupt images: --set data.skip_corrupt={len(images)}."
    advice = "Replace them." + (skip if skipped is not None else "")
    return _report(_counted(images, "unusable example"), images, advice)


def unusable(name: str, reason: str) -> DamagedDataError:
    """The error for the sample called `name`, which can't be served. A measurement skips none."""
    return _report("1 unusable example", (f"{name}: {reason}",), "Replace it: inference leaves no example out.")


def label_problem(example: LabelledJpeg, *, classes: int) -> str | None:
    """What is wrong with the label of a photograph for a model of so many classes; None if that is nothing."""
    label = int(example.label)
    return None if 0 <= label < classes else f"its label is class {label}, accepted are 0 to {classes - 1}"


def damaged_records(split: Split, *, problem: Callable[[Any], str | None], scale: int = 1) -> tuple[str, ...]:
    """Every record of the split that can't be parsed or decoded, or whose example has a problem, with the reason.

    Args:
        split: the split.
        problem: as in `diagnose`.
        scale: 8 decodes an eighth of the pixels, which still reads every byte.
    """
    found = Skipped(limit=split.examples, log=False)

    def check(*record: Any) -> tf.Tensor:
        return tf.py_function(
            lambda *flat: _check(
                tf.nest.pack_sequence_as(record, flat), split=split, problem=problem, scale=scale, found=found
            ),
            tf.nest.flatten(record),
            tf.bool,
        )

    try:
        for _ in split.records(Pass(named=True)).map(check, num_parallel_calls=tf.data.AUTOTUNE):
            pass
    except tf.errors.OpError as error:
        return (*found.lines, reason_of(error))
    return found.lines


def _check(
    record: tuple[Any, ...], *, split: Split, problem: Callable[[Any], str | None], scale: int, found: Skipped
) -> bool:
    name = split.name(*record).numpy().decode(errors="replace")
    foreign = None
    try:
        example = split.parse(*record)
        if (wrong := problem(example)) is not None:
            found.add(name, wrong)
        foreign = file_format.why_not_jpeg(example.encoded.numpy()[: file_format.HEAD_BYTES])
        tf.io.decode_jpeg(example.encoded, channels=3, ratio=scale)
        tf.image.extract_jpeg_shape(example.encoded)
    except tf.errors.OpError as error:
        found.add(name, foreign or reason_of(error))
    return True


def _is_from_reading(error: Exception) -> bool:
    if isinstance(error, tf.errors.DataLossError):
        return True
    return isinstance(error, tf.errors.OpError) and "IteratorGetNext" in str(error)


def listed(lines: Sequence[str]) -> str:
    """The first lines, indented, and how many more there are."""
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(f"  {line}" for line in (*lines[:_SHOWN], *more))


def _counted(lines: tuple[str, ...], noun: str) -> str:
    return f"{len(lines)} {noun}{'' if len(lines) == 1 else 's'}"


def _report(title: str, lines: tuple[str, ...], advice: str) -> DamagedDataError:
    return DamagedDataError(f"{title}:\n{listed(lines)}\n{advice}")
