"""Prepares images with boxes as TFRecords, from the layouts of Pascal VOC, COCO and OpenImages."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence

from tfperf import whole_file
from tfperf.benchmarks import data_directory
from tfperf.benchmarks.detection.data import coco, image_size, record, records, voc
from tfperf.benchmarks.detection.data.annotations import Annotations
from tfperf.benchmarks.detection.data.found import FoundAnnotations
from tfperf.benchmarks.detection.data.sources import CocoFolder, VocFolder
from tfperf.benchmarks.images import jpeg
from tfperf.benchmarks.prepare import journal, plan, shards
from tfperf.benchmarks.prepare import unreadable as unreadable_list
from tfperf.benchmarks.prepare.lock import locked
from tfperf.benchmarks.prepare.plan import Shard
from tfperf.benchmarks.prepare.request import check_request
from tfperf.benchmarks.prepare.shards import Record, UnreadableExampleError, WrittenShard
from tfperf.benchmarks.records import counts
from tfperf.sign_of_life import Say, stage

_FRAME_BYTES = 2048  # more than a record needs beyond the image and its objects
_OBJECT_BYTES = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionRequest:
    """What to prepare.

    Args:
        layout: how the images and annotations are laid out.
        source: the folder that holds them.
        data_dir: where the shards go; created if needed.
        train_shards: training files.
        eval_shards: validation files.
        skip_unreadable: skip images that are missing, can't be decoded or have another size than their annotations say,
            instead of failing.
        workers: threads that write shards.
    """

    layout: VocFolder | CocoFolder
    source: pathlib.Path
    data_dir: pathlib.Path
    train_shards: int
    eval_shards: int
    skip_unreadable: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        check_request(self, counted=("train_shards", "eval_shards", "workers"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedDetection:
    """The prepared data directory.

    Attributes:
        data_dir: where the files are.
        train: images in each training file.
        validation: images in each validation file.
        classes: the names of the classes.
        reencoded: images that were converted to RGB JPEGs, and their former formats.
        unreadable: images that were skipped, and why.
        notes: damage in the annotations, and what was done with it.
    """

    data_dir: pathlib.Path
    train: Mapping[str, int]
    validation: Mapping[str, int]
    classes: tuple[str, ...]
    reencoded: tuple[str, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _ImageToWrite:
    """An image of a split, by its number there."""

    annotations: Annotations
    number: int

    def __str__(self) -> str:
        return self.annotations.files[self.number]


def prepare(request: DetectionRequest, say: Say) -> PreparedDetection:
    """Writes the missing shards, then `counts.json`, which shows that all are there.

    Every image is decoded once to see that it is whole. A progress bar goes to stderr. The same call resumes a
    preparation that was killed.

    Args:
        request: what to prepare.
        say: takes each line of progress.

    Raises:
        MissingDataError: the source lacks something.
        DamagedDataError: annotations are damaged, or images are unreadable; the readable shards are kept.
        UsageError: the data directory can't be written, is too small, or holds something else.
    """
    source = data_directory.readable(request.source, flag="--source")
    with stage(f"reading the annotations in {source}", say):
        found = _found(request, source)
    train, validation = _annotations(found)
    say(
        f"found {len(train):,} training images with {len(train.boxes):,} objects and {len(validation):,} validation "
        f"images with {len(validation.boxes):,} objects of {len(found.classes):,} classes"
    )
    for note in found.notes:
        say(f"note: {note}")
    planned = _planned(found, request)
    with locked(request.data_dir):
        finished = _finished(planned, found, request)
        if finished:
            say(f"resuming: {len(finished):,} of {len(planned):,} files are finished")
        pending = [shard for shard in planned if shard.name not in finished]
        with stage("adding up the sizes of the images", say, at_once=False):
            shards.check_space(
                request.data_dir, sum(_size(each, source) for shard in pending for each in shard.examples)
            )
        written = {**finished, **_write_all(pending, found, request)}
        return _concluded(request, found, [written[shard.name] for shard in planned])


def _found(request: DetectionRequest, source: pathlib.Path) -> FoundAnnotations:
    if isinstance(request.layout, VocFolder):
        return voc.read(request.layout, source)
    return coco.read(request.layout, source, check_files=not request.skip_unreadable)


def _annotations(found: FoundAnnotations) -> tuple[Annotations, Annotations]:
    """Those of the training and of the held-out images."""
    assert found.train is not None  # both were asked for
    return found.train.annotations, found.evaluation.annotations


def _planned(found: FoundAnnotations, request: DetectionRequest) -> list[Shard[_ImageToWrite]]:
    train, evaluation = (
        [_ImageToWrite(annotations=annotations, number=number) for number in range(len(annotations))]
        for annotations in _annotations(found)
    )
    return [
        *plan.shards("train", train, count=request.train_shards),
        *plan.shards("validation", evaluation, count=request.eval_shards),
    ]


def _finished(
    planned: Sequence[Shard[_ImageToWrite]], found: FoundAnnotations, request: DetectionRequest
) -> dict[str, WrittenShard]:
    """What needn't be written again; a file that lacks images only if that is accepted now, too."""
    digest = hashlib.sha256(repr((found.classes.names, found.classes.category_ids)).encode())
    for split in _annotations(found):
        digest.update(split.digest.encode())
    arguments: dict[str, int | str] = {
        "train_shards": request.train_shards,
        "eval_shards": request.eval_shards,
        "images": sum(len(shard.examples) for shard in planned),
        "sha256 of the annotations": digest.hexdigest(),
    }
    kept = journal.resume(request.data_dir, arguments, shard_names=[shard.name for shard in planned])
    return {name: shard for name, shard in kept.items() if request.skip_unreadable or not shard.unreadable}


def _size(image: _ImageToWrite, source: pathlib.Path) -> int:
    starts = image.annotations.starts
    objects = int(starts[image.number + 1] - starts[image.number])
    path = source / str(image)
    return (path.stat().st_size if path.is_file() else 0) + _FRAME_BYTES + objects * _OBJECT_BYTES


def _write_all(
    pending: Sequence[Shard[_ImageToWrite]], found: FoundAnnotations, request: DetectionRequest
) -> dict[str, WrittenShard]:
    if pending:
        (request.data_dir / counts.FILE).unlink(missing_ok=True)
    written = shards.write_all(
        pending,
        request.data_dir,
        records_of=lambda image: (_record_of(image, found),),
        skip_unreadable=request.skip_unreadable,
        workers=request.workers,
        unit="images",
        on_finished=functools.partial(journal.remember, request.data_dir),
    )
    return {shard.name: shard for shard in written}


def _record_of(planned: _ImageToWrite, found: FoundAnnotations) -> Record:
    image = planned.annotations.image(planned.number)
    try:
        content = (found.folder / image.file).read_bytes()
    except OSError as error:
        raise UnreadableExampleError(f"it can't be read: {error.strerror}") from error
    checked = jpeg.checked(content)
    why = image_size.differs((image.width, image.height), (checked.width, checked.height))
    if why is not None:
        raise UnreadableExampleError(why)
    serialized = record.serialized(checked, image, number=planned.number, names=found.classes.names)
    return Record(serialized, checked.reencoded_from)


def _concluded(request: DetectionRequest, found: FoundAnnotations, written: list[WrittenShard]) -> PreparedDetection:
    unreadable = tuple(line for shard in written for line in shard.unreadable)
    unreadable_list.write_list(request.data_dir, unreadable)
    if any(shard.size is None for shard in written):
        raise unreadable_list.refusal(request.data_dir, unreadable)
    train = {shard.name: shard.examples for shard in written if shard.name.startswith("train-")}
    validation = {shard.name: shard.examples for shard in written if shard.name not in train}
    most = zip(counts.SPLITS, (each.most_objects for each in _annotations(found)), strict=True)
    noted = {
        "train": train,
        "validation": validation,
        counts.SIZES: {shard.name: shard.size for shard in written},
        records.NAMES: found.classes.names,
        records.CATEGORY_IDS: found.classes.category_ids,
        records.MOST_OBJECTS: {split: max(1, count) for split, count in most},
    }
    whole_file.write(request.data_dir / counts.FILE, json.dumps(noted, indent=1) + "\n")
    return PreparedDetection(
        data_dir=request.data_dir,
        train=train,
        validation=validation,
        classes=found.classes.names,
        reencoded=tuple(line for shard in written for line in shard.reencoded),
        unreadable=unreadable,
        notes=found.notes,
    )
