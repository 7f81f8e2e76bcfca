"""One image as a record of the layout that TensorFlow's ImageNet scripts and the MLPerf reference use."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.images import jpeg
from tfperf.benchmarks.images.jpeg import Jpeg
from tfperf.benchmarks.prepare.shards import Record
from tfperf.benchmarks.resnet50.prepare import photos
from tfperf.benchmarks.resnet50.prepare.boxes import Box
from tfperf.benchmarks.resnet50.prepare.photos import StoredPhoto


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatedPhoto:
    """A photograph and the boxes of the objects in it."""

    photo: StoredPhoto
    boxes: tuple[Box, ...] = ()

    def __str__(self) -> str:
        return str(self.photo)


def record_of(example: AnnotatedPhoto, *, labels: Mapping[str, int]) -> Record:
    """The record of a photograph.

    Args:
        example: the photograph.
        labels: class names to labels.

    Raises:
        UnreadableExampleError: it can't be decoded.
        OSError: it can't be read.
    """
    photo = example.photo
    image, label = jpeg.checked(photos.read(photo)), labels[photo.class_name]
    serialized_image = serialized(image, name=photo.name, class_name=photo.class_name, label=label, boxes=example.boxes)
    return Record(serialized_image, image.reencoded_from)


def serialized(image: Jpeg, *, name: str, class_name: str, label: int, boxes: Sequence[Box]) -> bytes:
    """The record of `image`: a serialized tf.train.Example."""
    features = {
        "image/encoded": _bytes(image.encoded),
        "image/height": _ints([image.height]),
        "image/width": _ints([image.width]),
        "image/format": _bytes(b"JPEG"),
        "image/colorspace": _bytes(b"RGB"),
        "image/channels": _ints([3]),
        "image/filename": _bytes(os.fsencode(name)),
        "image/class/label": _ints([label]),
        "image/class/synset": _bytes(os.fsencode(class_name)),
        "image/object/bbox/label": _ints([label] * len(boxes)),
    }
    for corner in Box._fields:
        values = [getattr(box, corner) for box in boxes]
        features[f"image/object/bbox/{corner}"] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    return record


def _bytes(value: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(values: Sequence[int]) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
