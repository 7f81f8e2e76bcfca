"""Training batches whose targets are one array, as the losses of detectors take them."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfperf.benchmarks.benchmark import Feed, OpenData


def joined(found: OpenData) -> OpenData:
    """The data set with the targets of training batches as float32 [n, most, 5]: the boxes, and the classes.

    Classes are exact in float32; -1 is padding. Batches of the evaluation stay as they are.
    """

    def train(feed: Feed) -> tf.data.Dataset:
        return found.train(feed).map(_joined)

    return dataclasses.replace(found, train=train)


def _joined(images: tf.Tensor, targets: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    classes = tf.cast(targets["classes"], tf.float32)
    return images, tf.concat((targets["boxes"], classes[..., None]), axis=-1)
