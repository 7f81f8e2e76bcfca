#!/usr/bin/env python3
"""Times the same training steps under tfperf and under plain Keras `fit`, alternating.

usage: python tools/bench_training.py [--steps 120] [--rounds 9] [--steps_per_execution 1] [--data_dir DIR]

Both train the model of `resnet50_mini` with the same optimizer and the same pipeline over the embedded data, restarted
in each round. tfperf runs as in a real run, with its meter, the log and TensorBoard. A round is timed until its last
step ends: closing the pipeline after that can wait for seconds, because tf.data's autotuning thread looks whether it
should stop only at intervals that double up to 10 s. A round is long, because the batches that a pipeline has read
ahead when a round ends were prepared within it: in 40 steps they cost tfperf's pipeline 10 % more processor time than
Keras's, and nothing in 120. The ratio is tfperf's time over Keras's: the median of the ratios of neighbouring rounds.
It is printed for wall time and for processor time. Other programs on the machine change wall time by 10 % from round to
round; processor time shows the same extra work with less noise, but no waiting. Ends with one JSON object.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfperf import benchmarks, events, spec
from tfperf.benchmarks.benchmark import Feed, OpenData
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.compliance import mllog
from tfperf.reporting import jsonl, tensorboard
from tfperf.system import allocator
from tfperf.training import loop, optimizers, program
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter
from tfperf.training.meter_callback import MeterCallback
from tfperf.training.plan import Plan, PlannedEpoch

BATCH = 64
GOAL = 1.02


def main() -> None:
    """Prints the times of each round, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps_per_execution", type=int, default=1)
    parser.add_argument("--data_dir", type=pathlib.Path)
    arguments = parser.parse_args()
    allocator.keep_freed_memory()  # as a run does; Keras profits alike
    task = benchmarks.task("resnet50_mini", "train")
    data = task.open_data(spec.Data(source=Shapes()), task.options, arguments.data_dir)
    with tempfile.TemporaryDirectory() as directory:
        ours = tfperf_round(data, pathlib.Path(directory), arguments.steps, arguments.steps_per_execution)
        theirs = keras_round(data, arguments.steps, arguments.steps_per_execution)
        pairs = measure(ours, theirs, arguments.rounds)
    print(
        f"{'round':>5} {'tfperf s':>9} {'Keras fit s':>12} {'ratio':>7} {'processor s':>12} {'Keras':>12} {'ratio':>7}"
    )
    for number, (own, other) in enumerate(pairs, 1):
        wall = f"{own.wall_s:>9.3f} {other.wall_s:>12.3f} {own.wall_s / other.wall_s:>7.3f}"
        processor = f"{own.processor_s:>12.3f} {other.processor_s:>12.3f} {own.processor_s / other.processor_s:>7.3f}"
        print(f"{number:>5} {wall} {processor}")
    ratios = {
        "time for the same steps, tfperf / Keras fit": [own.wall_s / other.wall_s for own, other in pairs],
        "processor time for the same steps, tfperf / Keras fit": [
            own.processor_s / other.processor_s for own, other in pairs
        ],
    }
    for what, values in ratios.items():
        print(f"{what}: {statistics.median(values):.3f}, rounds from {min(values):.3f} to {max(values):.3f}")
    medians = {what: {"value": round(statistics.median(r), 4), "goal": f"<= {GOAL}"} for what, r in ratios.items()}
    print(json.dumps({"name": "bench_training", "ratios": medians}))


class LastStep(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Keeps when the last step ended: wall time by `time.perf_counter`, processor time by `time.process_time`."""

    wall_s = 0.0
    processor_s = 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Keeps the times."""
        self.wall_s, self.processor_s = time.perf_counter(), time.process_time()


class Times(NamedTuple):
    """Wall and processor seconds of a round; the latter summed over the threads of this process."""

    wall_s: float
    processor_s: float


Round = Callable[[LastStep], object]


def measure(ours: Round, theirs: Round, rounds: int) -> list[tuple[Times, Times]]:
    """Times of (tfperf, Keras) in each round; who goes first alternates, and two warm-up rounds are left out."""
    pairs = []
    for number in range(rounds + 2):
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        times = {first: timed(first), second: timed(second)}
        pairs.append((times[ours], times[theirs]))
    return pairs[2:]


def timed(call: Round) -> Times:
    """Times from the call to the end of its last step."""
    last = LastStep()
    wall_s, processor_s = time.perf_counter(), time.process_time()
    call(last)
    return Times(wall_s=last.wall_s - wall_s, processor_s=last.processor_s - processor_s)


def compiled_model() -> keras.Model:
    """The mini's model with its optimizer, from the same seed each time."""
    keras.utils.set_random_seed(0)
    task = benchmarks.task("resnet50_mini", "train")
    model = task.build_model(task.options)
    sgd = spec.Sgd(base_learning_rate=0.05, decay_steps=1000)
    task.compile_model(model, optimizers.build(sgd, steps_per_epoch=64, total_steps=640), task.options)
    return model


def tfperf_round(data: OpenData, directory: pathlib.Path, steps: int, steps_per_execution: int) -> Round:
    """A call that trains `steps` steps with tfperf's loop, meter and sinks."""
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = compiled_model()
    built = program.build(model, strategy)
    sink = events.Fanout(
        (
            mllog.MllogSink(directory / "mllog.txt"),
            jsonl.JsonLines(directory / "events.jsonl"),
            tensorboard.TensorBoard(directory, metric="accuracy", target=1.0, hparams={}),
        )
    )
    goal = Goal(metric="accuracy", target=1.0, mode="max")
    meter = Meter(sink, goal=goal, batch_size=BATCH, compiled=True)
    meter.start()
    batches = loop.distribute(
        strategy, lambda context, size: data.train(Feed(batch_size=size)), global_batch_size=BATCH
    )
    plan = Plan(
        epochs=(PlannedEpoch(steps=steps, evaluated=False),),
        evaluation_steps=0,
        steps_per_execution=steps_per_execution,
    )
    clock = MeterCallback(meter)
    return lambda last: loop.fit(built, plan, train=iter(batches), evaluation=iter(()), callbacks=[clock, last])


def keras_round(data: OpenData, steps: int, steps_per_execution: int) -> Round:
    """A call that trains `steps` steps with plain `model.fit`."""
    model = compiled_model()
    model.steps_per_execution = steps_per_execution
    batches = data.train(Feed(batch_size=BATCH))
    return lambda last: model.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[last])


if __name__ == "__main__":
    main()
