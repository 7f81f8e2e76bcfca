"""Random changes of brightness, contrast, saturation and hue."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfperf.spec.requirement import require

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as Pillow's mode L
# To YIQ, whose first component is the luma: rotating the others changes the hue, lengthening them the saturation.
_YIQ = (_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """How far colors are changed; the defaults are those of MLPerf's SSD.

    (mlcommons/training, retired_benchmarks/ssd-v1/ssd/utils.py, SSDTransformer.)

    Args:
        brightness: the factor is drawn from 1 - brightness to 1 + brightness.
        contrast: likewise, of the distance to the image's mean luma.
        saturation: likewise, of the distance to the pixel's luma.
        hue: the angle is drawn from -hue to hue, in turns.
    """

    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05

    def __post_init__(self) -> None:
        factors = {name: getattr(self, name) for name in ("brightness", "contrast", "saturation")}
        require(
            *((0 <= value <= 1, name, value, "0 to 1") for name, value in factors.items()),
            (0 <= self.hue <= 0.5, "hue", self.hue, "0 to 0.5"),
        )


def jitter(image: tf.Tensor, amounts: ColorJitter, *, draws: tf.Tensor) -> tf.Tensor:
    """Changes the colors of an image.

    All four changes are linear in the colors and commute, so they are made by one matrix, which costs a tenth of making
    them one after the other. The reference limits values to 0 to 255 and rounds them after each change, and turns the
    hue in HSV; NVIDIA's submissions of SSD used such a matrix (DALI, ColorTwist).

    Args:
        image: float32 [height, width, 3], 0 to 255.
        amounts: how far.
        draws: float32 [4] from 0 to below 1, which decide.

    Returns:
        float32 [height, width, 3]; may lie outside 0 to 255.
    """
    spread = tf.constant((amounts.brightness, amounts.contrast, amounts.saturation, amounts.hue))
    brightness, contrast, saturation, turn = tf.unstack((2 * draws - 1) * spread + tf.constant((1.0, 1.0, 1.0, 0.0)))
    luma = tf.tensordot(_mean_color(image), tf.constant(_LUMA), 1)
    matrix = brightness * contrast * _turned(saturation, turn)
    shift = brightness * (1 - contrast) * luma
    changed = tf.matmul(tf.reshape(image, [-1, 3]), matrix) + shift
    return tf.reshape(changed, tf.shape(image))


def _mean_color(image: tf.Tensor) -> tf.Tensor:
    """Float32 [3]; sums whole rows first, which is vectorised."""
    height, width = tf.unstack(tf.shape(image)[:2])
    row = tf.reduce_mean(tf.reshape(image, [height, width * 3]), axis=0)
    return tf.reduce_mean(tf.reshape(row, [width, 3]), axis=0)


def _turned(saturation: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """The matrix [3, 3] by which a row of red, green and blue is multiplied from the right."""
    cosine, sine = saturation * tf.cos(2 * math.pi * turn), saturation * tf.sin(2 * math.pi * turn)
    one, nought = tf.ones([]), tf.zeros([])
    rotation = tf.stack([[one, nought, nought], [nought, cosine, sine], [nought, -sine, cosine]])
    to_yiq = np.array(_YIQ, np.float32)
    return tf.transpose(np.linalg.inv(to_yiq) @ rotation @ to_yiq)
