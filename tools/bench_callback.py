#!/usr/bin/env python3
"""Times the steps of `model.fit` with `tfperf.MLPerfCallback` and without it.

usage: python tools/bench_callback.py [--tiny_s 60] [--resnet_s 90]

Measures two models on a batch in memory: a tiny one, whose step takes about 100 us with 100 steps in an execution, and
ResNet-50. Within one `fit`, the callback receives the hooks of all steps for about a second, then of none for about a
second, and so on, so that whatever slows the machine slows both. Each second includes the two events that the callback
writes in it. Work done once in a `fit`, such as making the run directory, is not counted. The overhead is the median of
the differences between neighbouring seconds, the ratio the median of their ratios. Ends with one JSON object.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

import tfperf
from tfperf import benchmarks

PER_EXECUTION, TINY_BATCH, RESNET_BATCH = 100, 32, 4
BLOCK_S = 1.0


class Alternating(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Forwards the hooks to a callback, those of the steps only in every second block of time.

    Args:
        ours: the callback.
        seconds: training ends after this many seconds.

    Attributes:
        blocks: seconds of a step in each block; the first with the callback, the second without, and so on.
    """

    def __init__(self, ours: tfperf.MLPerfCallback, *, seconds: float) -> None:
        super().__init__()
        self.ours = ours
        self.blocks: list[float] = []
        self._seconds = seconds
        self._with_ours = True
        self._executions = 0
        self._ends = 0.0
        self._since, self._steps, self._first = 0.0, 0, 0

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Forwards."""
        self.ours.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Forwards."""
        super().set_model(model)
        self.ours.set_model(model)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Forwards."""
        self.ours.on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Forwards."""
        self.ours.on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Forwards in every second block."""
        self._first = batch
        if self._with_ours:
            self.ours.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Forwards in every second block, and ends blocks that are long enough."""
        if self._with_ours:
            self.ours.on_train_batch_end(batch, logs)
        now = time.perf_counter()
        self._executions += 1
        if self._executions == 2:  # the first one traced
            self._since, self._ends = now, now + self._seconds
        elif self._executions > 2:
            self._steps += batch - self._first + 1
            self._end_block(now)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Forwards."""
        self.ours.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Forwards."""
        self.ours.on_train_end(logs)

    def pairs(self) -> list[tuple[float, float]]:
        """Seconds of a step (with, without) in neighbouring blocks."""
        return list(zip(self.blocks[::2], self.blocks[1::2], strict=False))

    def _end_block(self, now: float) -> None:
        if now - self._since < BLOCK_S:
            return
        self.blocks.append((now - self._since) / self._steps)
        self._since, self._steps = time.perf_counter(), 0
        self._with_ours = not self._with_ours
        self.model.stop_training = now > self._ends and len(self.blocks) >= 2


def main() -> None:
    """Prints the step times of each model, then what the callback adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny_s", type=float, default=60)
    parser.add_argument("--resnet_s", type=float, default=90)
    arguments = parser.parse_args()
    print(f"{'model':<12} {'seconds':>8} {'with us':>12} {'without us':>12} {'added us':>10} {'ratio':>8}")
    tiny = measure(tiny_model(), batch(TINY_BATCH, (8,)), seconds=arguments.tiny_s)
    added_us, _ = report("tiny", tiny)
    task = benchmarks.task("resnet50", "train")
    resnet = task.build_model(task.options)
    task.compile_model(resnet, keras.optimizers.SGD(1e-6), task.options)
    images = batch(RESNET_BATCH, (224, 224, 3), classes=task.options.classes)
    _, ratio = report("ResNet-50", measure(resnet, images, seconds=arguments.resnet_s))
    ratios = {
        "resnet50 step time": {"value": round(ratio, 4), "goal": "<= 1.01"},
        "tiny model overhead us per step": {"value": round(added_us, 3), "goal": "<= 5"},
    }
    print(json.dumps({"name": "callback", "ratios": ratios}))


def measure(model: keras.Model, data: tf.data.Dataset, *, seconds: float) -> list[tuple[float, float]]:
    """Seconds of a step (with, without) the callback, in pairs of neighbouring blocks."""
    with tempfile.TemporaryDirectory() as directory:
        ours = tfperf.MLPerfCallback(pathlib.Path(directory) / "run", monitor="val_loss")
        alternating = Alternating(ours, seconds=seconds)
        model.fit(data, epochs=1, verbose=0, callbacks=[alternating], shuffle=False)
    run = ours.result
    if run is None or run.reasons != ("no target was set: this run is timed only",):
        raise RuntimeError(f"The callback measured nothing: {run}.")
    return alternating.pairs()


def report(name: str, pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Prints the medians; returns the microseconds that the callback adds to a step, and the ratio."""
    added_us = statistics.median(own - bare for own, bare in pairs) * 1e6
    ratio = statistics.median(own / bare for own, bare in pairs)
    own_us, bare_us = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
    blocks = 2 * len(pairs)
    print(f"{name:<12} {blocks:>8} {own_us:>12,.1f} {bare_us:>12,.1f} {added_us:>10.2f} {ratio:>8.4f}", flush=True)
    return added_us, ratio


def tiny_model() -> keras.Model:
    """A model of one layer, whose steps are almost all overhead."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, steps_per_execution=PER_EXECUTION, jit_compile=False)
    return model


def batch(size: int, shape: tuple[int, ...], *, classes: int = 2) -> tf.data.Dataset:
    """The same batch, endlessly."""
    inputs = tf.random.stateless_normal((size, *shape), (0, 0))
    return tf.data.Dataset.from_tensors((inputs, tf.one_hot(tf.range(size) % classes, classes))).repeat()


if __name__ == "__main__":
    main()
