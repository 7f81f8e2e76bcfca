"""One image with boxes as a record, with the features that TensorFlow's Object Detection API names.

(https://github.com/tensorflow/models/blob/master/research/object_detection/dataset_tools/create_coco_tf_record.py.) As
in ImageNet's records, labels count from 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.detection.data.annotations import AnnotatedImage
from tfperf.benchmarks.detection.data.preprocessing import AnnotatedJpeg
from tfperf.benchmarks.images.jpeg import Jpeg

FIRST_LABEL = 1
_CORNERS = tuple(f"image/object/bbox/{corner}" for corner in ("xmin", "ymin", "xmax", "ymax"))
_LABEL, _CROWD, _DIFFICULT, _AREA = (
    f"image/object/{column}" for column in ("class/label", "is_crowd", "difficult", "area")
)
_NUMBER, _HEIGHT, _WIDTH, _ID = "image/number", "image/height", "image/width", "image/source_id"


def serialized(jpeg: Jpeg, image: AnnotatedImage, *, number: int, names: Sequence[str]) -> bytes:
    """A serialized tf.train.Example.

    Args:
        jpeg: the image.
        image: its annotations.
        number: its place among the images of its split.
        names: the names of the classes.
    """
    columns = image.boxes.T.tolist()
    features = {
        "image/encoded": _bytes([jpeg.encoded]),
        "image/format": _bytes([b"jpeg"]),
        "image/filename": _bytes([image.file.encode(errors="surrogateescape")]),
        _ID: _bytes([image.image_id.encode(errors="surrogateescape")]),
        _NUMBER: _integers([number]),
        _HEIGHT: _integers([image.height]),
        _WIDTH: _integers([image.width]),
        **{name: _floats(values) for name, values in zip(_CORNERS, columns, strict=True)},
        "image/object/class/text": _bytes([names[label].encode() for label in image.classes.tolist()]),
        _LABEL: _integers((image.classes + FIRST_LABEL).tolist()),
        _CROWD: _integers(image.crowd.astype(int).tolist()),
        _DIFFICULT: _integers(image.difficult.astype(int).tolist()),
        _AREA: _floats(image.areas.tolist()),
    }
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    return record


def parse(record: tf.Tensor, name: tf.Tensor | None = None, *, classes: int) -> AnnotatedJpeg:
    """The image in a record.

    Args:
        record: as `serialized` makes it.
        name: the name of the record, in a pass that has names; not used.
        classes: classes of the model. In the graph it is an error if an object is of another, or has no area.
    """
    numbers = tf.io.FixedLenFeature([], tf.int64)
    integers = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
    floats = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    found = tf.io.parse_single_example(
        record,
        {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            **dict.fromkeys((_NUMBER, _HEIGHT, _WIDTH), numbers),
            **dict.fromkeys((_LABEL, _CROWD, _DIFFICULT), integers),
            **dict.fromkeys((*_CORNERS, _AREA), floats),
        },
    )
    boxes = tf.stack([found[corner] for corner in _CORNERS], axis=1)
    labels = tf.cast(found[_LABEL], tf.int32) - FIRST_LABEL
    columns = [labels, *(found[name] for name in (_CROWD, _DIFFICULT, _AREA))]
    checks = [
        tf.debugging.Assert(tf.reduce_all((labels >= 0) & (labels < classes)), ["An object is of an unknown class."]),
        tf.debugging.Assert(tf.reduce_all(boxes[:, :2] < boxes[:, 2:]), ["A box has no area."]),
        *(tf.debugging.assert_equal(tf.shape(column)[0], tf.shape(boxes)[0]) for column in columns),
    ]
    with tf.control_dependencies(checks):
        boxes = tf.identity(boxes)
    return AnnotatedJpeg(
        encoded=found["image/encoded"],
        number=found[_NUMBER],
        size=tf.cast(tf.stack([found[_HEIGHT], found[_WIDTH]]), tf.int32),
        boxes=boxes,
        classes=labels,
        crowd=found[_CROWD] > 0,
        difficult=found[_DIFFICULT] > 0,
        areas=found[_AREA],
    )


def title(record: tf.Tensor) -> tf.Tensor:
    """The id of the image in a record."""
    return tf.io.parse_single_example(record, {_ID: tf.io.FixedLenFeature([], tf.string)})[_ID]


def _bytes(values: Sequence[bytes]) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _integers(values: Iterable[int]) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: Sequence[float]) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
