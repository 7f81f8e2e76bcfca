"""SSD's random crop: a window that overlaps with every object as much as one drawn option demands, or the whole image.

The options and the bounds are those of MLPerf's reference
(https://github.com/mlcommons/training/blob/master/retired_benchmarks/ssd-v1/ssd/utils.py, SSDCropping). As there,
options are drawn until one succeeds. Here a window is rounded to whole pixels before anything is computed from it, so
that boxes fit what is cut out to a fraction of a pixel; the reference rounds only what it cuts out.
"""

from __future__ import annotations

import tensorflow as tf

from tfperf.benchmarks.detection import boxes as arithmetic

# What the overlap (intersection over union) of every object with the window must exceed; -1 demands nothing. The first
# option is the whole image.
_WHOLE = 2.0
_OPTIONS = (_WHOLE, 0.1, 0.3, 0.5, 0.7, 0.9, -1.0)
_LEAST_SIDE = 0.3  # of the image's
_LEAST_ASPECT, _MOST_ASPECT = 0.5, 2.0  # of the shares of width and height
_AT_A_TIME = 16  # options that are tried together: on average four are needed


def random_window(boxes: tf.Tensor, size: tf.Tensor, *, seed: tf.Tensor, samples: int) -> tf.Tensor:
    """Draws a window.

    Args:
        boxes: float32 [n, 4] as x1, y1, x2, y2 in shares of the image. An image without boxes stays whole.
        size: int32 [2], height and width of the image, pixels.
        seed: int64 [2]; the window follows from it alone.
        samples: windows that are drawn for an option before another option is; 1 or 50 by MLPerf's rules.

    Returns:
        int32 [4]: top, left, height and width, pixels.
    """

    def one_round(number: tf.Tensor, done: tf.Tensor, window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found, window = _round(boxes, size, seed=tf.random.fold_in(seed, number), samples=samples)
        return number + 1, found, window

    nothing = tf.zeros([4], tf.int32)
    start = (tf.constant(0), tf.constant(False), nothing)
    return tf.while_loop(lambda number, done, window: ~done, one_round, start)[2]


def _round(boxes: tf.Tensor, size: tf.Tensor, *, seed: tf.Tensor, samples: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Tries `_AT_A_TIME` options: whether one succeeded, and the window of the first that did."""
    draws = tf.random.stateless_uniform([_AT_A_TIME, samples * 4 + 1], seed)
    options = tf.gather(tf.constant(_OPTIONS), tf.cast(draws[:, 0] * len(_OPTIONS), tf.int32))
    windows, well_shaped = _windows(tf.reshape(draws[:, 1:], [_AT_A_TIME, samples, 4]), size)
    shares = tf.cast(windows, tf.float32) / tf.cast(tf.tile(size[::-1], [2]), tf.float32)
    overlap = tf.reshape(arithmetic.iou(boxes, tf.reshape(shares, [-1, 4])), [-1, _AT_A_TIME, samples])
    overlaps_all = tf.reduce_all(overlap > options[:, tf.newaxis], axis=0)
    holds_one = tf.reduce_any(_centred(boxes[:, tf.newaxis, tf.newaxis], shares), axis=0)
    fitting = well_shaped & overlaps_all & holds_one
    whole = options == _WHOLE
    succeeded = whole | tf.reduce_any(fitting, axis=1)
    first = tf.argmax(succeeded)
    x1, y1, x2, y2 = tf.unstack(windows[first, tf.argmax(fitting[first])])
    everything = tf.concat([[0, 0], size], axis=0)
    window = tf.where(whole[first], everything, tf.stack([y1, x1, y2 - y1, x2 - x1]))
    return succeeded[first], window


def _windows(draws: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Windows int32 [..., 4] as x1, y1, x2, y2 in pixels, and whether their shape is accepted."""
    extent = _LEAST_SIDE + (1 - _LEAST_SIDE) * draws[..., :2]
    begin = draws[..., 2:] * (1 - extent)
    aspect = extent[..., 0] / extent[..., 1]
    pixels = tf.cast(size[::-1], tf.float32)
    low = tf.cast(begin * pixels, tf.int32)
    high = tf.maximum(tf.cast((begin + extent) * pixels, tf.int32), low + 1)
    return tf.concat([low, high], axis=-1), (aspect >= _LEAST_ASPECT) & (aspect <= _MOST_ASPECT)


def _centred(boxes: tf.Tensor, windows: tf.Tensor) -> tf.Tensor:
    """Whether the centre of each box is inside the window; both [..., 4] as x1, y1, x2, y2 in shares of the image."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    return tf.reduce_all((centre > windows[..., :2]) & (centre < windows[..., 2:]), axis=-1)


def boxes_in(boxes: tf.Tensor, window: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The boxes as a window shows them.

    Args:
        boxes: float32 [n, 4] as x1, y1, x2, y2 in shares of the image.
        window: int32 [4] as `random_window` returns it.
        size: int32 [2], height and width of the image, pixels.

    Returns:
        Boxes float32 [n, 4] in shares of the window, clipped to it, and bool [n], whether the window holds the centre
        of each. The others mean nothing.
    """
    top, left, height, width = tf.unstack(window)
    edges = tf.stack([left, top, left + width, top + height])
    pixels = tf.cast(tf.tile(size[::-1], [2]), tf.float32)
    kept = _centred(boxes, tf.cast(edges, tf.float32) / pixels)
    origin = tf.cast(tf.stack([left, top, left, top]), tf.float32)
    extent = tf.cast(tf.stack([width, height, width, height]), tf.float32)
    return tf.clip_by_value((boxes * pixels - origin) / extent, 0, 1), kept
