"""Prepares ImageNet, or any photographs in class folders, as the TFRecords of the MLPerf reference."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping, Sequence

from tfperf import whole_file
from tfperf.benchmarks import resnet50, training_task
from tfperf.benchmarks.prepare import journal, plan, shards
from tfperf.benchmarks.prepare import unreadable as unreadable_list
from tfperf.benchmarks.prepare.lock import locked
from tfperf.benchmarks.prepare.plan import Shard
from tfperf.benchmarks.prepare.request import check_request
from tfperf.benchmarks.prepare.shards import WrittenShard
from tfperf.benchmarks.records import counts
from tfperf.benchmarks.resnet50.prepare import boxes, photos
from tfperf.benchmarks.resnet50.prepare.record import AnnotatedPhoto, record_of
from tfperf.sign_of_life import Say, stage

_FRAME_BYTES = 1024  # more than a record needs beyond the image: features, lengths, checksums


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetRequest:
    """What to prepare.

    Args:
        source: folder of the downloaded archives or the class folders.
        data_dir: where the shards go; created if needed.
        train_shards: training files.
        eval_shards: validation files.
        skip_unreadable: skip images that can't be decoded instead of failing.
        workers: threads that write shards.
    """

    source: pathlib.Path
    data_dir: pathlib.Path
    train_shards: int = 1024
    eval_shards: int = 128
    skip_unreadable: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        check_request(self, counted=("train_shards", "eval_shards", "workers"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedImageNet:
    """The prepared data directory.

    Attributes:
        data_dir: where to write.
        train: examples in each training file.
        validation: examples in each validation file.
        classes: names of the classes in the order of their labels, which count from 1.
        reencoded: images that were converted to RGB JPEGs, and their former formats.
        unreadable: images that were skipped, and why.
        notes: remarks for the user, such as counts that differ from ImageNet's.
    """

    data_dir: pathlib.Path
    train: Mapping[str, int]
    validation: Mapping[str, int]
    classes: tuple[str, ...]
    reencoded: tuple[str, ...]
    unreadable: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(request: ImageNetRequest, say: Say) -> PreparedImageNet:
    """Writes the missing shards, then `counts.json`, which shows that all are there.

    A progress bar goes to stderr. The same call resumes a preparation that was killed.

    Args:
        request: what to prepare.
        say: takes each line of progress.

    Raises:
        MissingDataError: the source lacks something.
        DamagedDataError: an archive is damaged, or images are unreadable; the readable shards are kept.
        UsageError: the data directory can't be written, is too small, or holds something else.
    """
    with stage(f"listing the images of {request.source}", say):
        found = photos.find(request.source)
    say(_inventory(found))
    for note in _notes(found, train=len(found.train), validation=len(found.validation)):
        say(f"note: {note}")
    with stage("reading the boxes of the images", say, at_once=False):
        planned = _planned(found, request)
    with locked(request.data_dir):
        with stage(f"looking for finished files in {request.data_dir}", say, at_once=False):
            finished = _finished(planned, request)
        if finished:
            say(f"resuming: {len(finished):,} of {len(planned):,} files are finished")
        pending = [shard for shard in planned if shard.name not in finished]
        needed = sum(each.photo.size + _FRAME_BYTES for shard in pending for each in shard.examples)
        shards.check_space(request.data_dir, needed)
        written = {**finished, **_write_all(pending, request, labels=_labels(found.classes))}
        return _concluded(request, found, [written[shard.name] for shard in planned])


def _planned(found: photos.FoundPhotos, request: ImageNetRequest) -> list[Shard[AnnotatedPhoto]]:
    annotated = boxes.read(request.source, found.classes)
    train = [AnnotatedPhoto(photo=photo, boxes=annotated.get(photo.name, ())) for photo in found.train]
    validation = [AnnotatedPhoto(photo=photo) for photo in found.validation]
    return [
        *plan.shards("train", train, count=request.train_shards),
        *plan.shards("validation", validation, count=request.eval_shards),
    ]


def _inventory(found: photos.FoundPhotos) -> str:
    train, validation, classes = map(len, (found.train, found.validation, found.classes))
    return f"found {train:,} training and {validation:,} validation images of {classes:,} classes"


def _notes(found: photos.FoundPhotos, *, train: int, validation: int) -> tuple[str, ...]:
    rules = training_task(resnet50.BENCHMARK)
    notes = []
    if found.ignored:
        notes.append(f"ignored files that are not named as images: {len(found.ignored):,}, first {found.ignored[0]}")
    if _is_imagenet(found) and (train, validation) != (rules.train_examples, rules.eval_examples):
        notes.append(
            f"not the complete ImageNet ILSVRC2012: {train:,} training and {validation:,} validation images, where "
            f"MLPerf has {rules.train_examples:,} and {rules.eval_examples:,}"
        )
    return tuple(notes)


def _is_imagenet(found: photos.FoundPhotos) -> bool:
    from_archive = any(split[0].offset is not None for split in (found.train, found.validation))
    wordnet_ids = [name for name in found.classes if re.fullmatch(r"n\d{8}", name)]
    return from_archive or len(wordnet_ids) == len(found.classes) == 1000


def _finished(planned: Sequence[Shard[AnnotatedPhoto]], request: ImageNetRequest) -> dict[str, WrittenShard]:
    """What needn't be written again; a file that lacks images only if that is accepted now, too."""
    names = [shard.name for shard in planned]
    found = journal.resume(request.data_dir, arguments(planned), shard_names=names)
    return {name: shard for name, shard in found.items() if request.skip_unreadable or not shard.unreadable}


def arguments(planned: Sequence[Shard[AnnotatedPhoto]]) -> dict[str, int | str]:
    """What decides the content of the files, except the images' bytes: a damaged image may be replaced meanwhile."""
    digest = hashlib.sha256()
    for shard in planned:
        for each in shard.examples:
            digest.update(repr((each.photo.class_name, each.photo.name, each.boxes or None)).encode())
    train = [shard for shard in planned if shard.name.startswith("train-")]
    return {
        "train_shards": len(train),
        "eval_shards": len(planned) - len(train),
        "images": sum(len(shard.examples) for shard in planned),
        "sha256 of names, classes and boxes": digest.hexdigest(),
    }


def _labels(classes: Sequence[str]) -> dict[str, int]:
    return {name: label for label, name in enumerate(classes, start=1)}


def _write_all(
    pending: Sequence[Shard[AnnotatedPhoto]], request: ImageNetRequest, *, labels: Mapping[str, int]
) -> dict[str, WrittenShard]:
    if pending:
        (request.data_dir / counts.FILE).unlink(missing_ok=True)
    written = shards.write_all(
        pending,
        request.data_dir,
        records_of=lambda photo: (record_of(photo, labels=labels),),
        skip_unreadable=request.skip_unreadable,
        workers=request.workers,
        unit="images",
        on_finished=functools.partial(journal.remember, request.data_dir),
    )
    return {shard.name: shard for shard in written}


def _concluded(request: ImageNetRequest, found: photos.FoundPhotos, written: list[WrittenShard]) -> PreparedImageNet:
    unreadable = tuple(line for shard in written for line in shard.unreadable)
    unreadable_list.write_list(request.data_dir, unreadable)
    if any(shard.size is None for shard in written):
        raise unreadable_list.refusal(request.data_dir, unreadable)
    train = {shard.name: shard.examples for shard in written if shard.name.startswith("train-")}
    validation = {shard.name: shard.examples for shard in written if shard.name not in train}
    sizes = {shard.name: shard.size for shard in written}
    noted = {"train": train, "validation": validation, counts.SIZES: sizes, "classes": list(found.classes)}
    whole_file.write(request.data_dir / counts.FILE, json.dumps(noted, indent=1) + "\n")
    return PreparedImageNet(
        data_dir=request.data_dir,
        train=train,
        validation=validation,
        classes=found.classes,
        reencoded=tuple(line for shard in written for line in shard.reencoded),
        unreadable=unreadable,
        notes=_notes(found, train=sum(train.values()), validation=sum(validation.values())),
    )
