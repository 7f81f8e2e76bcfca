"""A benchmark that trains in a moment: which side of a line a point lies on. It can be made to fail."""

import dataclasses
import os
import pathlib
import signal
from typing import Any, ClassVar

from tfperf import Benchmark, Data, Feed, OpenData, QualityTarget, TrainingTask

TRAIN, EVAL = 256, 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What happens to a run.

    Args:
        units: of the hidden layer.
        trouble: what happens when the model is built.
    """

    units: int = 4
    trouble: str = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawn:
    """Points that are drawn at random."""

    EMBEDDED: ClassVar[bool] = True


def build_model(options: Options) -> Any:
    import keras

    if options.trouble == "memory":
        raise MemoryError("no room for 4 TiB")
    if options.trouble == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if options.trouble == "stuck":
        signal.pause()
    hidden = keras.layers.Dense(options.units, activation="relu")
    return keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])


def compile_model(model: Any, optimizer: Any, options: Options) -> None:
    import keras

    accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=0.0)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), weighted_metrics=[accuracy])


def open_data(data: Data, options: Options, data_dir: pathlib.Path | None) -> OpenData:
    import numpy as np
    import tensorflow as tf

    points = np.random.default_rng(0).normal(size=(TRAIN + EVAL, 2)).astype("float32")
    sides = (points @ np.float32([[1.0], [-2.0]]) > 0).astype("float32")

    def train(feed: Feed) -> tf.data.Dataset:
        whole = tf.data.Dataset.from_tensor_slices((points[:TRAIN], sides[:TRAIN]))
        return whole.shuffle(TRAIN, seed=feed.seed).repeat().batch(feed.batch_size, drop_remainder=True)

    def evaluation(feed: Feed) -> tf.data.Dataset:
        whole = tf.data.Dataset.from_tensor_slices((points[TRAIN:], sides[TRAIN:], np.ones((EVAL, 1), "float32")))
        return whole.batch(feed.batch_size, drop_remainder=True)

    return OpenData(train_examples=TRAIN, eval_examples=EVAL, train=train, evaluation=evaluation, fingerprint="points")


BENCHMARK = Benchmark(
    name="points",
    training=TrainingTask(
        quality=QualityTarget(metric="accuracy", value=0.9),
        ruleset="4.0.0",
        submission_benchmark="resnet",
        options=Options(),
        tunable=(("trouble", ()), ("units", ())),
        build_model=build_model,
        compile_model=compile_model,
        open_data=open_data,
        sources=(Drawn,),
    ),
)
