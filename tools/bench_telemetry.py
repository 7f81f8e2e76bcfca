#!/usr/bin/env python3
"""Measures what observing the machine costs: a training step and a request of resnet50_mini, with and without it.

    tools/bench_telemetry.py [--rounds 240] [--block_s 0.5] [--rate_hz 10]

One sampler runs all the time, and is stopped (SIGSTOP) in every other block. Blocks alternate in pairs, and the median
over the pairs counts; its 95 % interval says what the noise of the machine leaves open. Beside it stands the processor
time that the sampler itself used. A sampler that goes on reads at once what it has missed, so its cost is an upper
bound.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import pathlib
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.telemetry.recorder import Recorder
from tfperf.telemetry_log import Window

GOAL_PERCENT = 0.5
BATCH = 64


def main() -> None:
    """Prints the times of a call in each state, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=240, help="pairs of blocks, 5 or more")
    parser.add_argument("--block_s", type=float, default=0.5, help="seconds of a block")
    parser.add_argument("--rate_hz", type=float, default=10.0, help="readings in a second")
    flags = parser.parse_args()
    if flags.rounds < 5:
        parser.error(f"--rounds must be 5 or more, got {flags.rounds}.")
    ratios = {}
    print(
        f"{'call':<14} {'pairs':>6} {'observed ms':>12} {'alone ms':>12} {'cost %':>8} "
        f"{'95 % interval':>15} {'sampler, % of a core':>21}"
    )
    for name, call in (("training step", training_step()), ("request", request())):
        pairs, sampler_percent = measure(call, rounds=flags.rounds, block_s=flags.block_s, rate_hz=flags.rate_hz)
        low, cost, high = median_with_interval([100 * (observed / alone - 1) for observed, alone in pairs])
        observed_ms, alone_ms = (1e3 * statistics.median(times) for times in zip(*pairs, strict=True))
        print(
            f"{name:<14} {len(pairs):>6} {observed_ms:>12.4f} {alone_ms:>12.4f} {cost:>8.2f} "
            f"{f'{low:.2f} to {high:.2f}':>15} {sampler_percent:>21.2f}",
            flush=True,
        )
        ratios[f"{name}, cost in %"] = {"value": round(cost, 3), "goal": f"<= {GOAL_PERCENT:g}"}
        ratios[f"{name}, sampler in % of a core"] = {"value": round(sampler_percent, 3), "goal": "<= 1"}
    print(json.dumps({"name": "telemetry", "ratios": ratios}))


def median_with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower end of the 95 % interval of the median, the median, the upper end; by order statistics."""
    ordered, reach = sorted(values), 0.98 * math.sqrt(len(values))
    middle = (len(values) - 1) / 2
    low, high = max(0, math.floor(middle - reach)), min(len(values) - 1, math.ceil(middle + reach))
    return ordered[low], statistics.median(ordered), ordered[high]


def measure(
    call: Callable[[], object], *, rounds: int, block_s: float, rate_hz: float
) -> tuple[list[tuple[float, float]], float]:
    """Seconds of a call (observed, alone) in pairs of neighbouring blocks, and the sampler's cost while it ran."""
    for _ in range(5):
        call()  # compiles
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(pathlib.Path(folder), specs.TelemetrySpec(rate_hz=rate_hz, idle_s=0))
        with recorder:
            pid = recorder.pid
            if pid is None or not recorder.ready():
                raise RuntimeError(f"The sampler does not start: {recorder.failure}")
            begin_ns = time.perf_counter_ns()
            pairs = [pair(call, pid, block_s=block_s, observed_first=bool(number % 2)) for number in range(rounds)]
            (found,) = recorder.finish([Window(name="all", begin_ns=begin_ns, end_ns=time.perf_counter_ns())])
    if recorder.failure or found.use is None or found.use.sampler_percent is None:
        raise RuntimeError(f"The sampler recorded nothing: {recorder.failure}")
    return pairs, 2 * found.use.sampler_percent  # it ran half of the time


def pair(call: Callable[[], object], pid: int, *, block_s: float, observed_first: bool) -> tuple[float, float]:
    """Seconds of a call with the sampler running and stopped."""
    times = {}
    for observed in (observed_first, not observed_first):
        os.kill(pid, signal.SIGCONT if observed else signal.SIGSTOP)
        times[observed] = block(call, block_s)
    os.kill(pid, signal.SIGCONT)
    return times[True], times[False]


def block(call: Callable[[], object], block_s: float) -> float:
    """Mean seconds of a call over a block."""
    start = time.perf_counter()
    for count in itertools.count(1):
        call()
        taken = time.perf_counter() - start
        if taken >= block_s:
            return taken / count
    raise AssertionError("count never ends")


def training_step() -> Callable[[], object]:
    """One training step of resnet50_mini on a batch in memory, until its loss is here."""
    task = benchmarks.task("resnet50_mini", "train")
    model = task.build_model(task.options)
    task.compile_model(model, keras.optimizers.SGD(1e-6), task.options)
    generator = np.random.default_rng(1)
    shape = (BATCH, task.options.image_size, task.options.image_size, 3)
    images = generator.random(shape, "float32")
    labels = tf.one_hot(generator.integers(0, task.options.classes, BATCH), task.options.classes)
    batches = iter(tf.data.Dataset.from_tensors((images, labels)).repeat())
    model.make_train_function()
    return lambda: float(model.train_function(batches)["loss"])


def request() -> Callable[[], object]:
    """One answer of resnet50_mini to one image."""
    task = benchmarks.task("resnet50_mini", "infer")
    model = task.build_model(task.options)
    image = tf.constant(
        np.random.default_rng(1).random((1, task.options.image_size, task.options.image_size, 3), "float32")
    )
    answer = tf.function(lambda inputs: model(inputs, training=False))
    return lambda: answer(image).numpy()


if __name__ == "__main__":
    main()
