"""Images with boxes as SSD's reference prepares them."""

from __future__ import annotations

import dataclasses
import pathlib

import tensorflow as tf

from tfperf import spec
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.detection.data import data as annotated
from tfperf.benchmarks.detection.data.color import ColorJitter
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.ssd.options import SsdOptions


def open_data(data: spec.Data, options: SsdOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the images, for `TrainingTask.open_data`.

    The targets of training batches are what `SsdLoss` takes; those of the evaluation are the scorer's.

    Raises:
        ConfigError, MissingDataError, DamagedDataError: as `detection.data.data.open_data`.
    """
    found = annotated.open_data(data, preprocessing(options), data_dir)

    def train(feed: Feed) -> tf.data.Dataset:
        return found.train(feed).map(_joined)

    return dataclasses.replace(found, train=train)


def preprocessing(options: SsdOptions) -> DetectionPreprocessing:
    """What is done with an image. The reference scales it with Pillow."""
    return DetectionPreprocessing(
        classes=options.classes,
        size=options.image_size,
        crop_samples=options.max_samples,
        jitter=ColorJitter(),
        antialias=True,
    )


def _joined(images: tf.Tensor, targets: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and float32 [n, most, 5]: the boxes and, exact in float32, the classes."""
    classes = tf.cast(targets["classes"], tf.float32)
    return images, tf.concat((targets["boxes"], classes[..., None]), axis=-1)
