#!/usr/bin/env python3
"""Times `model.fit` with and without `tfperf.MLPerfCallback`, in turns.

usage: python tools/bench_callback.py [--rounds 15] [--tiny_steps 20000] [--resnet_steps 6]

Two models: a tiny one, whose step takes about 100 us with 100 steps in an execution, and ResNet-50. Both are fitted on
a batch that is in memory, with the callback and without it in turn, each in one `fit` of one epoch. What the callback
does once in a `fit`, such as making the run directory, is not in the time of a step: that is taken from the end of the
first execution to the end of the last one, by a bare callback in both cases. The overhead is the median of the
differences in the rounds, the ratio that of their ratios. Ends with one JSON object.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

import tfperf
from tfperf import benchmarks

PER_EXECUTION, TINY_BATCH, RESNET_BATCH = 100, 32, 4


class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Seconds from the end of the first execution to the end of the last, and the steps between them."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[tuple[float, int]] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the first moment and the last one."""
        self.moments[1:] = [(time.perf_counter(), batch)]

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        (since, first), (until, last) = self.moments
        return (until - since) / (last - first)


def main() -> None:
    """Prints the step times of each model, then what the callback adds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiny_steps", type=int, default=20_000)
    parser.add_argument("--resnet_steps", type=int, default=6)
    asked = parser.parse_args()
    print(f"{'model':<12} {'with us':>12} {'without us':>12} {'difference us':>14} {'ratio':>8}")
    tiny = measure(tiny_model(), batch(TINY_BATCH, (8,)), steps=asked.tiny_steps, rounds=asked.rounds)
    added_us, _ = report("tiny", tiny)
    task = benchmarks.get("resnet50").training
    resnet = task.build_model(task.options)
    task.compile_model(resnet, keras.optimizers.SGD(1e-6), task.options)
    images = batch(RESNET_BATCH, (224, 224, 3), classes=task.options.classes)
    _, ratio = report("ResNet-50", measure(resnet, images, steps=asked.resnet_steps, rounds=asked.rounds))
    ratios = {
        "resnet50 step time": {"value": round(ratio, 4), "goal": "<= 1.01"},
        "tiny model overhead us per step": {"value": round(added_us, 3), "goal": "<= 5"},
    }
    print(json.dumps({"name": "callback", "ratios": ratios}))


def measure(model: keras.Model, data: tf.data.Dataset, *, steps: int, rounds: int) -> list[tuple[float, float]]:
    """Seconds of a step (with, without) the callback in each round; who is first alternates, after a warm-up round."""
    pairs = []
    with tempfile.TemporaryDirectory() as directory:
        for number in range(rounds + 1):
            ours = pathlib.Path(directory) / str(number)
            works: list[Callable[[], float]] = [
                lambda path=ours: fit(model, data, steps, [tfperf.MLPerfCallback(path, monitor="val_loss")]),
                lambda: fit(model, data, steps, []),
            ]
            order = works if number % 2 else works[::-1]
            times = {work: work() for work in order}
            pairs.append((times[works[0]], times[works[1]]))
    return pairs[1:]


def fit(model: keras.Model, data: tf.data.Dataset, steps: int, callbacks: list[keras.callbacks.Callback]) -> float:
    """Seconds of a step of one epoch."""
    clock = Clock()
    model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[*callbacks, clock], shuffle=False)
    return clock.step_s


def report(name: str, pairs: list[tuple[float, float]]) -> tuple[float, float]:
    """Prints the medians; returns the microseconds that the callback adds to a step, and the ratio."""
    added_us = statistics.median(own - bare for own, bare in pairs) * 1e6
    ratio = statistics.median(own / bare for own, bare in pairs)
    own_us, bare_us = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
    print(f"{name:<12} {own_us:>12,.1f} {bare_us:>12,.1f} {added_us:>14,.2f} {ratio:>8.4f}")
    return added_us, ratio


def tiny_model() -> keras.Model:
    """A model of one layer, whose steps are almost nothing but overhead."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, steps_per_execution=PER_EXECUTION, jit_compile=False)
    return model


def batch(size: int, shape: tuple[int, ...], *, classes: int = 2) -> tf.data.Dataset:
    """One batch, without end."""
    inputs = tf.random.stateless_normal((size, *shape), (0, 0))
    return tf.data.Dataset.from_tensors((inputs, tf.one_hot(tf.range(size) % classes, classes))).repeat()


if __name__ == "__main__":
    main()
