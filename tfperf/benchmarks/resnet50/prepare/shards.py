"""Writes one file of records, whole or not at all."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import threading
from collections.abc import Mapping

import tensorflow as tf

from tfperf.benchmarks.resnet50.prepare import photos, record
from tfperf.benchmarks.resnet50.prepare.photos import Photo
from tfperf.benchmarks.resnet50.prepare.plan import Shard
from tfperf.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one shard.

    Attributes:
        name: the file's name.
        size: its bytes; None when it was not kept because of an unreadable image.
        examples: records in it.
        reencoded: images that were made RGB JPEGs, and what they were.
        unreadable: images that can't be decoded, and why.
    """

    name: str
    size: int | None
    examples: int
    reencoded: tuple[str, ...]
    unreadable: tuple[str, ...]


def write(
    shard: Shard, folder: pathlib.Path, *, labels: Mapping[str, int], skip_unreadable: bool, stop: threading.Event
) -> Outcome:
    """Writes the shard under a temporary name and gives it its own when it is whole and on the disk.

    Args:
        shard: what to write.
        folder: where to.
        labels: class names to labels.
        skip_unreadable: whether a shard that lacks its unreadable images is kept.
        stop: ends the work between two images.

    Raises:
        UsageError: the folder can't be written, or is full.
        concurrent.futures.CancelledError: `stop` was set.
    """
    partial = folder / f".{shard.name}.partial"
    try:
        outcome = _write_records(shard, partial, labels=labels, stop=stop)
        if outcome.unreadable and not skip_unreadable:
            return outcome
        _to_disk(partial)
        size = partial.stat().st_size
        partial.replace(folder / shard.name)
        return dataclasses.replace(outcome, size=size)
    except (OSError, tf.errors.OpError) as error:
        raise UsageError(f"{folder / shard.name} can't be written: {error}. Free space or choose another.") from error
    finally:
        partial.unlink(missing_ok=True)


def _write_records(shard: Shard, path: pathlib.Path, *, labels: Mapping[str, int], stop: threading.Event) -> Outcome:
    reencoded, unreadable = [], []
    with tf.io.TFRecordWriter(str(path)) as writer:
        for photo in shard.photos:
            if stop.is_set():
                raise concurrent.futures.CancelledError
            image = _readable(photo)
            if isinstance(image, str):
                unreadable.append(f"{photo}: {image}")
                continue
            if image.reencoded_from:
                reencoded.append(f"{photo}: was {image.reencoded_from}")
            writer.write(_record(photo, image, shard, labels))
    return Outcome(
        name=shard.name,
        size=None,
        examples=len(shard.photos) - len(unreadable),
        reencoded=tuple(reencoded),
        unreadable=tuple(unreadable),
    )


def _record(photo: Photo, image: record.Jpeg, shard: Shard, labels: Mapping[str, int]) -> bytes:
    return record.serialized(
        image,
        name=photo.name,
        class_name=photo.class_name,
        label=labels[photo.class_name],
        boxes=shard.boxes.get(photo.name, ()),
    )


def _readable(photo: Photo) -> record.Jpeg | str:
    """The image, or why there is none."""
    try:
        return record.jpeg(photos.read(photo))
    except record.UnreadableImageError as error:
        return str(error)
    except OSError as error:
        return error.strerror or repr(error)


def _to_disk(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
