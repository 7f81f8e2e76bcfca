"""Photographs as JPEGs that training can decode."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfperf.benchmarks.prepare.shards import UnreadableExampleError

_JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_QUALITY = 100  # of re-encoded images, as in the README of mlcommons/training image_classification


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jpeg:
    """A JPEG that training can decode.

    Attributes:
        encoded: the file's bytes.
        height: pixels.
        width: pixels.
        reencoded_from: its format before it was converted to an RGB JPEG; None if the bytes are the original.
    """

    encoded: bytes
    height: int
    width: int
    reencoded_from: str | None = None


def checked(encoded: bytes) -> Jpeg:
    """Checks that the image decodes to its end; PNG and CMYK images become RGB JPEGs, others keep their bytes.

    Raises:
        UnreadableExampleError: it is not a JPEG or PNG, or is damaged.
    """
    try:
        if encoded.startswith(_PNG):
            return _reencoded(tf.io.decode_png(encoded, channels=3), was="PNG")
        if not encoded.startswith(_JPEG):
            raise UnreadableExampleError(f"neither JPEG nor PNG, begins with {encoded[:8]!r}")
        return _decodable(tf.constant(encoded), encoded)
    except tf.errors.OpError as error:
        raise UnreadableExampleError(error.message.split("}} ")[-1].split(" [Op:")[0]) from error


def _decodable(content: tf.Tensor, encoded: bytes) -> Jpeg:
    height, width, channels = tf.io.extract_jpeg_shape(content).numpy().tolist()
    if channels == 4:
        return _reencoded(tf.io.decode_jpeg(content, channels=3), was="CMYK")
    # An eighth of the size still reads every coded byte and finds the same damage, in half the time.
    tf.io.decode_jpeg(content, ratio=8)
    return Jpeg(encoded=encoded, height=height, width=width)


def _reencoded(pixels: tf.Tensor, *, was: str) -> Jpeg:
    encoded = tf.io.encode_jpeg(pixels, format="rgb", quality=_QUALITY).numpy()
    return Jpeg(encoded=encoded, height=pixels.shape[0], width=pixels.shape[1], reencoded_from=was)
