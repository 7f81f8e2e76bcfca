"""Reads the TFRecords that `tfperf prepare voc`, `coco` and `openimages` write."""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.detection.data import record
from tfperf.benchmarks.detection.data.annotated_split import DetectionSplit, DetectionSplits, no_images
from tfperf.benchmarks.detection.data.annotations import ClassList
from tfperf.benchmarks.detection.data.sources import DetectionRecords
from tfperf.benchmarks.images.sources import record_files
from tfperf.benchmarks.images.sources.split import Split
from tfperf.benchmarks.records import counts as record_counts
from tfperf.benchmarks.records.reason import reason_of
from tfperf.errors import DamagedDataError, MissingDataError

MOST_OBJECTS, NAMES, CATEGORY_IDS = "most_objects", "classes", "category_ids"  # in counts.json
_SHARD = r"\d{5}-of-\d{5}"
_SHOWN = 3
_HOW = "Write the records with `tfperf prepare voc`, `coco` or `openimages`"


def open_records(source: DetectionRecords, data_dir: pathlib.Path, *, needs_training: bool = True) -> DetectionSplits:
    """The splits in `data_dir`; reads `counts.json` and the first record of each split.

    With `needs_training` False the training files are not looked at.

    Raises:
        MissingDataError: `counts.json`, which a finished preparation leaves, or a file that it lists is missing.
        DamagedDataError: a file has another size than `counts.json` says, or holds other records.
    """
    noted = record_counts.content(data_dir)
    if not noted:
        raise MissingDataError(
            f"{data_dir} holds no {record_counts.FILE}, which a finished preparation leaves. {_HOW}; the same command "
            "resumes one that was interrupted."
        )
    classes, most = _classes(noted, data_dir), _most_objects(noted, data_dir)
    known = record_counts.known(data_dir)

    def opened(split: str) -> DetectionSplit:
        images = record_files.split_of(
            _files(noted, split, data_dir, known),
            known,
            cycle_length=source.cycle_length,
            parse=functools.partial(record.parse, classes=len(classes)),
            title=record.title,
        )
        _check_first(images)
        return DetectionSplit(images=images, most_objects=most[split])

    train = opened("train") if needs_training else no_images("They were not looked at.")
    return DetectionSplits(train=train, evaluation=opened("validation"), classes=classes)


def _classes(noted: Mapping[str, Any], data_dir: pathlib.Path) -> ClassList:
    names, ids = noted.get(NAMES), noted.get(CATEGORY_IDS)
    if (
        not isinstance(names, list)
        or not isinstance(ids, list)
        or len(names) != len(ids)
        or not names
        or not all(isinstance(name, str) for name in names)
        or not all(isinstance(number, int) for number in ids)
    ):
        raise _foreign(data_dir, "does not list classes with their categories")
    return ClassList(names=tuple(names), category_ids=tuple(ids))


def _most_objects(noted: Mapping[str, Any], data_dir: pathlib.Path) -> Mapping[str, int]:
    most = noted.get(MOST_OBJECTS)
    if not isinstance(most, dict) or not all(
        isinstance(most.get(split), int) and most[split] > 0 for split in record_counts.SPLITS
    ):
        raise _foreign(data_dir, "does not say how many objects an image has at most")
    return most


def _files(
    noted: Mapping[str, Any], split: str, data_dir: pathlib.Path, known: Mapping[pathlib.Path, int]
) -> tuple[pathlib.Path, ...]:
    names = noted.get(split)
    if not isinstance(names, dict) or not names or not all(re.fullmatch(rf"{split}-{_SHARD}", name) for name in names):
        raise _foreign(data_dir, f"lists no {split} files, or others than tfperf writes")
    paths = [data_dir / name for name in names]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        listed = ", ".join(absent[:_SHOWN]) + (", ..." if len(absent) > _SHOWN else "")
        raise MissingDataError(
            f"{data_dir}: {len(absent)} of {len(paths)} {split} files are missing: {listed}. Repeat the preparation: "
            "it writes them again."
        )
    changed = [path.name for path in paths if path not in known]
    if changed:
        listed = ", ".join(changed[:_SHOWN]) + (", ..." if len(changed) > _SHOWN else "")
        raise DamagedDataError(
            f"{data_dir}: {split} files have another size than {record_counts.FILE} says: {listed}. They are truncated "
            "or were replaced. Repeat the preparation: it writes them again."
        )
    if not sum(known[path] for path in paths):
        raise _foreign(data_dir, f"counts no record in its {split} files")
    return tuple(paths)


def _check_first(images: Split) -> None:
    try:
        for found in images.pick([0]):
            images.parse(found)
    except tf.errors.OpError as error:
        raise DamagedDataError(f"{images.where(0)}: {reason_of(error)}. {_HOW} again.") from error


def _foreign(data_dir: pathlib.Path, why: str) -> DamagedDataError:
    return DamagedDataError(f"{data_dir / record_counts.FILE} {why}: it belongs to other records. {_HOW}.")
