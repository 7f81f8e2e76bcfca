"""From a JPEG with boxes to the input and the targets of a detector."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfperf.benchmarks.detection.data import color, crop
from tfperf.benchmarks.detection.data.color import ColorJitter
from tfperf.spec.requirement import require

# Of red, green and blue in 0 to 1, as both references have it (mlcommons/training, retired_benchmarks/ssd-v1/ssd/
# utils.py and retinanet/ssd/model/retinanet.py).
CHANNEL_MEANS = (0.485, 0.456, 0.406)
CHANNEL_DEVIATIONS = (0.229, 0.224, 0.225)

_DCT = "INTEGER_ACCURATE"  # gives the pixels of Pillow, which both references use; TensorFlow's default is no faster


class AnnotatedJpeg(NamedTuple):
    """One image and its objects, as tensors.

    Attributes:
        encoded: string, a JPEG file.
        number: int64, different for each image of a split.
        size: int32 [2], height and width, pixels.
        boxes: float32 [n, 4] as x1, y1, x2, y2 in shares of the image.
        classes: int32 [n].
        crowd: bool [n].
        difficult: bool [n].
        areas: float32 [n], square pixels.
    """

    encoded: tf.Tensor
    number: tf.Tensor
    size: tf.Tensor
    boxes: tf.Tensor
    classes: tf.Tensor
    crowd: tf.Tensor
    difficult: tf.Tensor
    areas: tf.Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionPreprocessing:
    """What a detector does with an image before it sees it; half of the training images are mirrored.

    Attributes:
        classes: classes that the source must have.
        size: height and width of the input, pixels. An image is stretched to it.
        crop_samples: windows that are tried for each option of SSD's random crop; None never crops.
        jitter: how far the colors of a training image are changed; None leaves them.
        antialias: whether scaling down averages over all pixels that an output pixel covers, as Pillow does it and the
            reference of SSD with it; scaling then takes about twice as long. Otherwise it interpolates
            between the next four, as PyTorch does it and the reference of RetinaNet with it.
    """

    classes: int
    size: int
    crop_samples: int | None = None
    jitter: ColorJitter | None = None
    antialias: bool = False

    def __post_init__(self) -> None:
        require(
            (self.classes >= 1, "classes", self.classes, "1 or more"),
            (self.size >= 1, "size", self.size, "1 or more"),
            (self.crop_samples is None or self.crop_samples >= 1, "crop_samples", self.crop_samples, "1 or more"),
        )


def train_example(
    example: AnnotatedJpeg, preprocessing: DetectionPreprocessing, *, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Crops, mirrors and scales an image and changes its colors, by chance.

    Crowds and difficult objects are objects like others here, as in the references.

    Args:
        example: the image.
        preprocessing: what is done.
        seed: int64 [2]; all that is drawn follows from it alone.

    Returns:
        The image, float32 [size, size, 3], normalised; its boxes, float32 [m, 4] in shares of what is left of it; their
        classes, int32 [m].
    """
    boxes, classes = example.boxes, example.classes
    draws = tf.random.stateless_uniform([5], seed)
    if preprocessing.crop_samples is None:
        pixels = tf.io.decode_jpeg(example.encoded, channels=3, dct_method=_DCT)
    else:
        # Bitwise inversion makes an independent stream: the window must not depend on the colors.
        inverted = tf.bitwise.invert(seed)
        window = crop.random_window(boxes, example.size, seed=inverted, samples=preprocessing.crop_samples)
        pixels = tf.image.decode_and_crop_jpeg(example.encoded, window, channels=3, dct_method=_DCT)
        boxes, kept = crop.boxes_in(boxes, window, example.size)
        boxes, classes = tf.boolean_mask(boxes, kept), tf.boolean_mask(classes, kept)
    mirrored = draws[0] < 0.5
    pixels = tf.cond(mirrored, lambda: tf.reverse(pixels, [1]), lambda: pixels)
    image = _scaled(pixels, preprocessing)
    if preprocessing.jitter is not None:
        image = tf.clip_by_value(color.jitter(image, preprocessing.jitter, draws=draws[1:]), 0, 255)
    return _normalised(image, preprocessing.size), tf.where(mirrored, mirror(boxes), boxes), classes


def eval_image(encoded: tf.Tensor, preprocessing: DetectionPreprocessing) -> tf.Tensor:
    """The whole image, scaled and normalised: float32 [size, size, 3].

    Args:
        encoded: a JPEG file.
        preprocessing: what is done.
    """
    image = _scaled(tf.io.decode_jpeg(encoded, channels=3, dct_method=_DCT), preprocessing)
    return _normalised(image, preprocessing.size)


def mirror(boxes: tf.Tensor) -> tf.Tensor:
    """The boxes of the mirrored image; float32 [n, 4] as x1, y1, x2, y2 in shares of the image."""
    x1, y1, x2, y2 = tf.unstack(boxes, axis=1)
    return tf.stack([1 - x2, y1, 1 - x1, y2], axis=1)


def _scaled(pixels: tf.Tensor, preprocessing: DetectionPreprocessing) -> tf.Tensor:
    """Float32 [size, size, 3], 0 to 255, with half-pixel centres."""
    size = preprocessing.size

    def interpolated() -> tf.Tensor:
        # The kernel reads float32 four at a time and uint8 one by one.
        images = tf.expand_dims(tf.cast(pixels, tf.float32), 0)
        return tf.raw_ops.ResizeBilinear(images=images, size=(size, size), half_pixel_centers=True)

    def averaged() -> tf.Tensor:
        # The kernel is vectorised along the channels alone, so whole rows are handed over as channels: the same values
        # in 40 % of the time, transpositions included.
        height, width = tf.unstack(tf.shape(pixels)[:2])
        rows = _averaged_rows(tf.reshape(pixels, [height, width * 3]), size)
        columns = tf.transpose(tf.reshape(rows, [size, width, 3]), [1, 0, 2])
        scaled = _averaged_rows(tf.reshape(columns, [width, size * 3]), size)
        return tf.transpose(tf.reshape(scaled, [1, size, size, 3]), [0, 2, 1, 3])

    if not preprocessing.antialias:
        scaled = interpolated()
    else:  # where nothing is scaled down, both give the same
        scaled = tf.cond(tf.reduce_any(tf.shape(pixels)[:2] > size), averaged, interpolated)
    return tf.ensure_shape(scaled[0], [size, size, 3])


def _averaged_rows(rows: tf.Tensor, size: int) -> tf.Tensor:
    """As many rows as `size`, float32, each the average of those that it covers, weighted by a triangle."""
    scale = tf.stack([size / tf.shape(rows)[0], 1.0])
    scaled = tf.raw_ops.ScaleAndTranslate(
        images=rows[tf.newaxis, :, tf.newaxis],
        size=(size, 1),
        scale=tf.cast(scale, tf.float32),
        translation=tf.zeros([2]),
        kernel_type="triangle",
        antialias=True,
    )
    return scaled[0, :, 0]


def _normalised(image: tf.Tensor, width: int) -> tf.Tensor:
    """The image less the means, by the deviations."""
    # Whole rows at a time: a broadcast over three values is not vectorised.
    factor = np.tile(1 / (255 * np.array(CHANNEL_DEVIATIONS)), width).astype(np.float32)
    shift = np.tile(np.array(CHANNEL_MEANS) / CHANNEL_DEVIATIONS, width).astype(np.float32)
    return tf.reshape(tf.reshape(image, [-1, width * 3]) * factor - shift, [-1, width, 3])
