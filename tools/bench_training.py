#!/usr/bin/env python3
"""Times the same training steps under tfperf and under plain Keras `fit`, alternating.

usage: python tools/bench_training.py [--steps 10] [--rounds 120] [--steps_per_execution 1] [--data_dir DIR]

Both train the model of `resnet50_mini` with the same optimizer and the same pipeline over the embedded data, in two
threads of one process, of which one waits: they take turns of `--steps` steps. tfperf runs as in a real run, with its
meter, the log and TensorBoard. A turn is short, so that a change of the machine's speed meets both. Each pipeline reads
a few batches ahead while the other side trains. As both pipelines do the same, that cancels out.

The ratio is tfperf's time over Keras's: the median of the ratios of neighbouring turns. It is printed for wall time and
for processor time. Other programs on the machine change wall time by 10 % from turn to turn; processor time shows the
same extra work with less noise, but no waiting. Ends with one JSON object.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import tempfile
import threading
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
WARM_UP_ROUNDS = 3


def main() -> None:
    """Prints the times of each round, then the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--steps_per_execution", type=int, default=1)
    parser.add_argument("--data_dir", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error(f"--rounds must be 2 or more, got {arguments.rounds}.")
    if arguments.steps < 1 or arguments.steps % arguments.steps_per_execution:
        parser.error(
            f"--steps must be a multiple of --steps_per_execution={arguments.steps_per_execution}, got "
            f"{arguments.steps}."
        )
    allocator.keep_freed_memory()  # as a run does; Keras profits alike
    task = benchmarks.task("resnet50_mini", "train")
    data = task.open_data(spec.Data(source=Shapes()), task.options, arguments.data_dir)
    with tempfile.TemporaryDirectory() as directory:
        total = arguments.steps * (arguments.rounds + WARM_UP_ROUNDS)
        ours = tfperf_training(data, pathlib.Path(directory), total, arguments.steps_per_execution)
        theirs = keras_training(data, total, arguments.steps_per_execution)
        pairs = measure(ours, theirs, steps=arguments.steps, rounds=arguments.rounds)
    for name, times in zip(("tfperf", "Keras fit"), zip(*pairs, strict=True), strict=True):
        wall, processor = (sorted(column) for column in zip(*times, strict=True))
        print(
            f"{name:10s} {arguments.steps} steps: {statistics.median(wall):.3f} s, from {wall[0]:.3f} to "
            f"{wall[-1]:.3f}; processor {statistics.median(processor):.3f} s"
        )
    ratios = {
        "time for the same steps, tfperf / Keras fit": [own.wall_s / other.wall_s for own, other in pairs],
        "processor time for the same steps, tfperf / Keras fit": [
            own.processor_s / other.processor_s for own, other in pairs
        ],
    }
    for what, values in ratios.items():
        low, _, high = statistics.quantiles(values)
        print(f"{what}: {statistics.median(values):.3f}, half of the rounds from {low:.3f} to {high:.3f}")
    medians = {what: {"value": round(statistics.median(r), 4), "goal": f"<= {GOAL}"} for what, r in ratios.items()}
    print(json.dumps({"name": "bench_training", "ratios": medians}))


class Times(NamedTuple):
    """Wall and processor seconds of a turn; the latter summed over the threads of this process."""

    wall_s: float
    processor_s: float


class Turns:
    """Lets two trainings take turns, and times each turn.

    Args:
        steps: of a turn.
        rounds: each side has one turn in a round. Who goes first alternates.
    """

    def __init__(self, *, steps: int, rounds: int) -> None:
        self.steps = steps
        self.times: tuple[list[Times], list[Times]] = ([], [])
        self._order = [side for number in range(rounds) for side in ((0, 1) if number % 2 else (1, 0))]
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    def wait(self, side: int) -> None:
        """Returns when this side's next turn begins.

        Raises:
            RuntimeError: the other side failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or self._order[0] == side)
            if self._failure is not None:
                raise RuntimeError("The other training failed.") from self._failure

    def end(self, side: int, times: Times) -> None:
        """Ends this side's turn. After its last one, returns when the other side has none either.

        A training that ends closes its pipeline, which must not meet the other's turn.
        """
        with self._changed:
            self._order.pop(0)
            self.times[side].append(times)
            self._changed.notify_all()
            if side not in self._order:
                self._changed.wait_for(lambda: self._failure is not None or not self._order)

    def fail(self, failure: BaseException) -> None:
        """Ends all turns."""
        with self._changed:
            self._failure = failure
            self._changed.notify_all()


class TakesTurns(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Times the steps of one side, and lets the other train in between."""

    def __init__(self, turns: Turns, side: int) -> None:
        super().__init__()
        self._turns, self._side = turns, side

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Waits for the turn and starts the clock."""
        if batch % self._turns.steps == 0:
            self._turns.wait(self._side)
            self._begun = Times(time.perf_counter(), time.process_time())

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stops the clock and ends the turn."""
        if (batch + 1) % self._turns.steps == 0:
            ended = Times(time.perf_counter(), time.process_time())
            wall_s, processor_s = (end - begin for begin, end in zip(self._begun, ended, strict=True))
            self._turns.end(self._side, Times(wall_s, processor_s))


Training = Callable[[keras.callbacks.Callback], object]


def measure(ours: Training, theirs: Training, *, steps: int, rounds: int) -> list[tuple[Times, Times]]:
    """Times of (tfperf, Keras) in each round; the first rounds, which also compile, are left out."""
    turns = Turns(steps=steps, rounds=rounds + WARM_UP_ROUNDS)

    def train(side: int, training: Training) -> None:
        try:
            training(TakesTurns(turns, side))
        except BaseException as error:
            turns.fail(error)
            raise

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        for ended in [threads.submit(train, side, training) for side, training in enumerate((ours, theirs))]:
            ended.result()
    return list(zip(*turns.times, strict=True))[WARM_UP_ROUNDS:]


def compiled_model() -> keras.Model:
    """The mini's model with its optimizer, from the same seed each time."""
    keras.utils.set_random_seed(0)
    task = benchmarks.task("resnet50_mini", "train")
    model = task.build_model(task.options)
    sgd = spec.Sgd(base_learning_rate=0.05, decay_steps=1000)
    task.compile_model(model, optimizers.build(sgd, steps_per_epoch=64, total_steps=640), task.options)
    return model


def tfperf_training(data: OpenData, directory: pathlib.Path, steps: int, steps_per_execution: int) -> Training:
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
    return lambda turns: loop.fit(built, plan, train=iter(batches), evaluation=iter(()), callbacks=[clock, turns])


def keras_training(data: OpenData, steps: int, steps_per_execution: int) -> Training:
    """A call that trains `steps` steps with plain `model.fit`."""
    model = compiled_model()
    model.steps_per_execution = steps_per_execution
    batches = data.train(Feed(batch_size=BATCH))
    return lambda turns: model.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[turns])


if __name__ == "__main__":
    main()
