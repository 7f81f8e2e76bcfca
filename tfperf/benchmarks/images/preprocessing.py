"""What a benchmark does with a photograph before its model sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from tfperf.benchmarks.images.sources.split import LabelledJpeg


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a labelled JPEG to the input of an image classifier.

    Attributes:
        classes: classes that the source must have.
        size: height and width of the model's input, pixels.
        train: (example, seed int64 [2]) -> the image, float32 [size, size, 3], augmented by the seed alone.
        evaluate: a JPEG file -> the image, float32 [size, size, 3].
    """

    classes: int
    size: int
    train: Callable[[LabelledJpeg, tf.Tensor], tf.Tensor]
    evaluate: Callable[[tf.Tensor], tf.Tensor]
