"""From JPEG bytes to pixels as in the MLPerf reference for ResNet, in training and in evaluation."""

from __future__ import annotations

import functools

import tensorflow as tf

from tfperf.benchmarks.images.preprocessing import Preprocessing
from tfperf.benchmarks.images.sources.split import LabelledJpeg
from tfperf.benchmarks.resnet50.options import Options

# mlcommons/training, retired_benchmarks/resnet-tf2/tensorflow2/imagenet_preprocessing.py: red, green and blue means,
# the side that evaluation scales to and the one that it crops to, and how training draws a crop.
CHANNEL_MEANS = (123.68, 116.78, 103.94)
EVAL_SIDE, EVAL_CUT = 256, 224
MIN_OBJECT_COVERED = 0.1
ASPECT_RATIOS = (0.75, 1.33)
MAX_ATTEMPTS = 100


def of(options: Options) -> Preprocessing:
    """What is done with a photograph before the model with these options sees it."""

    def train(example: LabelledJpeg, seed: tf.Tensor) -> tf.Tensor:
        return train_image(
            example.encoded,
            example.boxes,
            seed=seed,
            size=options.image_size,
            least_crop_area=options.least_crop_area,
        )

    return Preprocessing(
        classes=options.classes,
        size=options.image_size,
        train=train,
        evaluate=functools.partial(eval_image, size=options.image_size),
    )


def train_image(
    encoded: tf.Tensor, boxes: tf.Tensor, *, seed: tf.Tensor, size: int, least_crop_area: float
) -> tf.Tensor:
    """A random crop of the image, mirrored with probability 0.5, as float32 of [size, size, 3].

    Args:
        encoded: a JPEG file.
        boxes: float32 [n, 4] of annotated objects as ymin, xmin, ymax, xmax in shares of the image; n may be 0.
        seed: int64 [2]; the crop and the mirroring follow from it alone.
        size: height and width of the result.
        least_crop_area: smallest share of the image that the crop covers.
    """
    window = random_window(encoded, boxes, seed=seed, least_crop_area=least_crop_area)
    return crop_image(encoded, window, mirrored=is_mirrored(seed), size=size)


def random_window(encoded: tf.Tensor, boxes: tf.Tensor, *, seed: tf.Tensor, least_crop_area: float) -> tf.Tensor:
    """The crop of one training image as int32 [top, left, height, width]; only the JPEG's header is read."""
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.image.extract_jpeg_shape(encoded),
        boxes[tf.newaxis],
        seed,
        min_object_covered=MIN_OBJECT_COVERED,
        aspect_ratio_range=ASPECT_RATIOS,
        area_range=(least_crop_area, 1.0),
        max_attempts=MAX_ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], extent[:2]], axis=0)


def is_mirrored(seed: tf.Tensor) -> tf.Tensor:
    """Whether a training image with this seed is mirrored."""
    # Another seed is an independent stream: the mirroring must not depend on the crop.
    return tf.random.stateless_uniform([], tf.bitwise.invert(seed), minval=None, maxval=None, dtype=tf.int32) < 0


def crop_image(encoded: tf.Tensor, window: tf.Tensor, *, mirrored: tf.Tensor, size: int) -> tf.Tensor:
    """The `window` of the image, `mirrored` or not, scaled to [size, size, 3]."""
    crop = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
    # Mirroring comes before scaling: without half-pixel centres the two do not commute.
    crop = tf.cond(mirrored, lambda: tf.reverse(crop, [1]), lambda: crop)
    return _without_mean(_resize(crop, (size, size)), width=size)


def eval_image(encoded: tf.Tensor, *, size: int) -> tf.Tensor:
    """The middle of the image, its shorter side scaled to 256 / 224 of `size`, as float32 of [size, size, 3]."""
    image = tf.image.decode_jpeg(encoded, channels=3)
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    # In float32 and truncated, as in the reference: a side may be one pixel short.
    scale = tf.constant(size * EVAL_SIDE // EVAL_CUT, tf.float32) / tf.minimum(height, width)
    scaled = tf.cast(tf.stack([height * scale, width * scale]), tf.int32)
    top, left = tf.unstack((scaled - size) // 2)
    middle = tf.slice(_resize(image, scaled), [0, top, left, 0], [1, size, size, 3])
    return _without_mean(middle, width=size)


def _resize(image: tf.Tensor, size: tf.Tensor | tuple[int, int]) -> tf.Tensor:
    """The image as a batch of one, bilinear, without half-pixel centres: `tf.image.resize` gives other pixels."""
    # The kernel reads float32 four at a time and uint8 one by one: with the cast it takes half the time.
    pixels = tf.expand_dims(tf.cast(image, tf.float32), 0)
    return tf.raw_ops.ResizeBilinear(images=pixels, size=size, half_pixel_centers=False)


def _without_mean(images: tf.Tensor, *, width: int) -> tf.Tensor:
    """The image in a batch of one, less `CHANNEL_MEANS`."""
    # Whole rows at a time: a broadcast over three values is not vectorised.
    rows = tf.reshape(images, [-1, width * 3]) - tf.tile(tf.constant(CHANNEL_MEANS), [width])
    return tf.reshape(rows, [-1, width, 3])
