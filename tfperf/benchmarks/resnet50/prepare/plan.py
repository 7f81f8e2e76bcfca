"""Which image goes into which file: all images of a split, shuffled once, in files of even length."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import random
from collections.abc import Iterator, Mapping

from tfperf.benchmarks.resnet50.prepare.boxes import Box
from tfperf.benchmarks.resnet50.prepare.photos import Found, Photo
from tfperf.errors import UsageError

_SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """What goes into one file.

    Attributes:
        name: the file's name, such as `train-00000-of-01024`.
        photos: its images, in order.
        boxes: bounding boxes by image name.
    """

    name: str
    photos: tuple[Photo, ...]
    boxes: Mapping[str, tuple[Box, ...]]


def shards(
    found: Found, *, train_shards: int, eval_shards: int, train_boxes: Mapping[str, tuple[Box, ...]]
) -> list[Shard]:
    """All files of both splits, with the names of the MLPerf reference.

    Raises:
        UsageError: there are more files than images.
    """
    return [
        *_split("train", found.train, count=train_shards, boxes=train_boxes),
        *_split("validation", found.validation, count=eval_shards, boxes={}),
    ]


def arguments(planned: list[Shard]) -> dict[str, int | str]:
    """What decides the content of the files, but for the images' bytes: a damaged one may be replaced meanwhile."""
    digest = hashlib.sha256()
    for shard in planned:
        for photo in shard.photos:
            digest.update(repr((photo.class_name, photo.name, shard.boxes.get(photo.name))).encode())
    train = [shard for shard in planned if shard.name.startswith("train-")]
    return {
        "train_shards": len(train),
        "eval_shards": len(planned) - len(train),
        "images": sum(len(shard.photos) for shard in planned),
        "sha256 of names, classes and boxes": digest.hexdigest(),
    }


def _split(
    name: str, photos: tuple[Photo, ...], *, count: int, boxes: Mapping[str, tuple[Box, ...]]
) -> Iterator[Shard]:
    if count > len(photos):
        raise UsageError(f"{count} {name} files were asked for and there are {len(photos)} images. Ask for fewer.")
    shuffled = list(photos)
    random.Random(_SEED).shuffle(shuffled)
    bounds = [len(photos) * index // count for index in range(count + 1)]
    for index, (begin, end) in enumerate(itertools.pairwise(bounds)):
        yield Shard(name=f"{name}-{index:05d}-of-{count:05d}", photos=tuple(shuffled[begin:end]), boxes=boxes)
