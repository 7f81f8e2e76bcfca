"""One image as a record of the layout that TensorFlow's ImageNet scripts and the MLPerf reference use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfperf.benchmarks.resnet50.prepare.boxes import Box

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_QUALITY = 100  # of re-encoded images, as in the README of mlcommons/training image_classification


class UnreadableImageError(ValueError):
    """An image that the decoder refuses."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jpeg:
    """A JPEG that training can decode.

    Attributes:
        encoded: the file's bytes.
        height: pixels.
        width: pixels.
        reencoded_from: what it was before it was made an RGB JPEG; None where the bytes are the original's.
    """

    encoded: bytes
    height: int
    width: int
    reencoded_from: str | None = None


def jpeg(encoded: bytes) -> Jpeg:
    """Checks that the image decodes to its end; PNG and CMYK images become RGB JPEGs, others keep their bytes.

    Raises:
        UnreadableImageError: it is no JPEG or PNG, or a damaged one.
    """
    try:
        if encoded.startswith(_PNG):
            return _reencoded(tf.io.decode_png(encoded, channels=3), was="PNG")
        if not encoded.startswith(_JPEG):
            raise UnreadableImageError(f"neither JPEG nor PNG, begins with {encoded[:8]!r}")
        return _checked(tf.constant(encoded), encoded)
    except tf.errors.OpError as error:
        raise UnreadableImageError(error.message.split("}} ")[-1].split(" [Op:")[0]) from error


def serialized(image: Jpeg, *, name: str, class_name: str, label: int, boxes: Sequence[Box]) -> bytes:
    """The record of `image`: a serialized tf.train.Example."""
    features = {
        "image/encoded": _bytes(image.encoded),
        "image/height": _ints([image.height]),
        "image/width": _ints([image.width]),
        "image/format": _bytes(b"JPEG"),
        "image/colorspace": _bytes(b"RGB"),
        "image/channels": _ints([3]),
        "image/filename": _bytes(name.encode()),
        "image/class/label": _ints([label]),
        "image/class/synset": _bytes(class_name.encode()),
        "image/object/bbox/label": _ints([label] * len(boxes)),
    }
    for corner in Box._fields:
        values = [getattr(box, corner) for box in boxes]
        features[f"image/object/bbox/{corner}"] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    return record


def _checked(content: tf.Tensor, encoded: bytes) -> Jpeg:
    height, width, channels = tf.io.extract_jpeg_shape(content).numpy().tolist()
    if channels == 4:
        return _reencoded(tf.io.decode_jpeg(content, channels=3), was="CMYK")
    # An eighth of the size still reads every coded byte and finds the same damage, in half the time.
    tf.io.decode_jpeg(content, ratio=8)
    return Jpeg(encoded=encoded, height=height, width=width)


def _reencoded(pixels: tf.Tensor, *, was: str) -> Jpeg:
    encoded = tf.io.encode_jpeg(pixels, format="rgb", quality=_QUALITY).numpy()
    return Jpeg(encoded=encoded, height=pixels.shape[0], width=pixels.shape[1], reencoded_from=was)


def _bytes(value: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(values: Sequence[int]) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
