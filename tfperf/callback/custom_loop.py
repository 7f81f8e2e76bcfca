"""The same measurement for a custom training loop, which reports what it does."""

from __future__ import annotations

import math
import os
import pathlib
import time
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfperf import result
from tfperf import spec as specs
from tfperf.benchmarks import share_metrics
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.callback import arguments, benchmark_model, cadence, outcome
from tfperf.callback.run_directory import IfTaken, MeasuredRunDirectory, NumberNotice, RunIdentity
from tfperf.errors import ArgumentError, TfperfError
from tfperf.reporting import table
from tfperf.training import hyperparameters, observations
from tfperf.training.meter import Meter


def measure(
    log_dir: str | os.PathLike[str] = "logs",
    *,
    monitor: str = "accuracy",
    mode: str = "auto",
    target: float | None = None,
    benchmark: str | Benchmark | None = None,
    global_batch_size: int | None = None,
    if_taken: str = "number",
    telemetry_hz: float = 0.0,
    verbose: int = 0,
) -> MeasuredLoop:
    """Measures a custom training loop. See `MeasuredLoop` for what to call in it.

    Example:
        with tfperf.measure("runs/1", monitor="accuracy", target=0.97, global_batch_size=64) as run:
            run.start()
            for epoch in range(20):
                for batch in training_batches:
                    train_step(batch)
                    run.step_end()
                if run.evaluated(accuracy_on_held_out_data()):
                    break

    Args:
        log_dir: the run directory. Where it holds a run, this one goes to `<log_dir>-2`, `<log_dir>-3` and so on.
        monitor: the name of the metric that `evaluated` gets, such as `accuracy`.
        mode: `max` if the target is reached from below, `min` if from above, `auto` to decide by the metric's name.
        target: the value to reach; None only measures times.
        benchmark: a name such as `resnet50`, which gives `monitor`, `target` and the keys of the log. An MLPerf
            benchmark accepts no other target, and `start` then needs the model, which must have its size.
        global_batch_size: examples in each step, if their number is constant; otherwise pass it to `step_end`. `bert`,
            whose log counts samples, needs it.
        if_taken: what happens if `log_dir` holds a run: `number` writes beside it, `refuse` raises an error.
        telemetry_hz: how many times a second the use and the energy of this machine are recorded, 0.1 to 10, by a
            process of its own; 0 records nothing.
        verbose: 1 prints the result at the end.

    Raises:
        ArgumentError: a ValueError; an argument can't be used, with what is accepted.
    """
    path, chosen = arguments.directory(log_dir, if_taken=if_taken)
    name = None if benchmark is not None and monitor == "accuracy" else monitor
    identity = arguments.identity(monitor=name, mode=mode, target=target, benchmark=benchmark, prefixed=False)
    if target is not None and identity.goal.mode == "auto":
        raise ArgumentError(f"Whether {monitor!r} should rise or fall is unknown. Write mode='max' or mode='min'.")
    batch_size = arguments.batch_size(global_batch_size, of=identity)
    telemetry = arguments.telemetry(telemetry_hz)
    return MeasuredLoop(path, identity, batch_size=batch_size, if_taken=chosen, telemetry=telemetry, verbose=verbose)


class MeasuredLoop:
    """A context manager to which a training loop reports what it does. It writes the result at its end.

    Call `start`, then for each epoch any number of `step_end` and one `evaluated` or `epoch_end`. The
    time between the last `step_end` of an epoch and `evaluated` counts as evaluation. An exception in the block leaves
    a log that ends `aborted`.

    A device may still be busy when TensorFlow returns. For correct step times, read something that the step computed,
    such as its loss, before `step_end`. The time to train is right either way, because the value for `evaluated` was
    read.

    Attributes:
        result: the result; None until the run has ended.
        run_dir: the directory of the run; final once `start` was called.
    """

    def __init__(
        self,
        path: pathlib.Path,
        identity: RunIdentity,
        *,
        batch_size: int | None,
        if_taken: IfTaken,
        telemetry: specs.TelemetrySpec,
        verbose: int,
    ) -> None:
        self.result: result.TrainResult | None = None
        self.run_dir = path
        self._identity = identity
        self._batch_size = batch_size
        self._if_taken = if_taken
        self._telemetry = telemetry
        self._verbose = verbose
        self._directory: MeasuredRunDirectory | None = None
        self._meter: Meter | None = None
        self._config: dict[str, Any] = {}
        self._optimizer: Any = None
        self._mark = (0.0, 0.0)
        self._in_epoch = False
        self._updates_before = 0
        self._updated_size = 0
        self._examples: int | None = 0
        self._train_examples: int | None = None

    def __enter__(self) -> MeasuredLoop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if self._meter is not None:
            self._end(failure=None if error is None else _reason(error))
        elif error is None:
            raise ArgumentError("Nothing was measured: start() was not called. Call it before the first batch is read.")

    def start(self, model: Any = None) -> None:
        """Starts the clock. Build and compile before it, and read no training data.

        Args:
            model: a Keras model, compiled or not, whose optimizer is logged; or an optimizer.

        Raises:
            ArgumentError: the clock already runs, the directory can't be written, or the model is not that of the
                benchmark.
        """
        if self._meter is not None:
            raise ArgumentError("start() was called twice. Call measure() once for each run.")
        benchmark_model.check(model, self._identity)
        self._optimizer = getattr(model, "optimizer", model)
        self._updates_before = observations.updates(self._optimizer) or 0
        strategy = getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()
        read = {**hyperparameters.read(self._optimizer), **hyperparameters.accumulation(self._optimizer)}
        goal = self._identity.goal
        self._config = {
            "benchmark": self._identity.name,
            "monitor": goal.metric,
            "target": goal.target,
            "mode": goal.mode,
            "global_batch_size": self._batch_size,
            "optimizer": read,
        }
        self._directory = MeasuredRunDirectory(
            self.run_dir,
            identity=self._identity,
            config=self._config,
            strategy=strategy,
            if_taken=self._if_taken,
            telemetry=self._telemetry,
        )
        NumberNotice(self.run_dir).give(self._directory.path)
        self.run_dir = self._directory.path
        self._meter = Meter(self._directory.sink, goal=goal, unit=self._identity.unit, batch_size=self._batch_size)
        self._updated_size = (self._batch_size or 0) * read.get("gradient_accumulation_steps", 1)
        batch = {} if self._batch_size is None else {"global_batch_size": self._batch_size}
        self._meter.log({**batch, **read})
        self._meter.start()
        self._mark = (time.time(), time.perf_counter())

    def step_end(self, steps: int = 1, *, examples: int | None = None, logs: Mapping[str, Any] | None = None) -> None:
        """Reports the training steps since the last call.

        Args:
            steps: the number of steps.
            examples: the examples in all of them; None takes `global_batch_size` for each step.
            logs: numbers such as `{"loss": 0.3}`, for TensorBoard, twice a second. Reading a loss waits for the device.

        Raises:
            ArgumentError: `start` was not called, or a number can't be one of steps or examples.
        """
        meter = self._running()
        if not _is_count(steps) or steps < 1:
            raise ArgumentError(f"steps must be a whole number, 1 or more, got {steps!r}.")
        if examples is not None and (not _is_count(examples) or examples < 0):
            raise ArgumentError(f"examples must be a whole number, 0 or more, got {examples!r}.")
        steps, examples = int(steps), None if examples is None else int(examples)
        if not meter.live:
            return
        if not self._in_epoch:
            self._begin_epoch(meter)
        if examples is None and self._batch_size is not None:
            examples = steps * self._batch_size
        self._examples = None if examples is None or self._examples is None else self._examples + examples
        at = time.perf_counter()
        is_first = meter.step_times.first_s is None
        meter.execution_end(steps, seconds=at - self._mark[1], at=at, stats=self._stats, logs=logs)
        if is_first:
            meter.first_examples(examples)
        self._mark = (time.time(), at)

    def epoch_end(self) -> None:
        """Ends an epoch that has no evaluation."""
        meter = self._running()
        if meter.live and self._in_epoch:
            self._close_epoch(meter)
            meter.block_end()
            self._mark = (time.time(), time.perf_counter())

    def evaluated(self, value: float, *, logs: Mapping[str, Any] | None = None) -> bool:
        """Reports the quality on held-out data and ends the epoch. Stops the clock at the target.

        Args:
            value: the monitored metric.
            logs: more numbers of the evaluation.

        Returns:
            Whether the target is reached, so that the loop may end.

        Raises:
            ArgumentError: `start` was not called, no step was done before, or the value can't be one of the metric.
        """
        meter = self._running()
        quality = _quality(value, metric=meter.goal.metric)
        if not meter.live:
            return meter.reached
        if not meter.epochs and not self._in_epoch:
            raise ArgumentError("evaluated() was called before any step. Call step_end() after each training step.")
        since_s, since = self._mark
        if self._in_epoch:
            self._close_epoch(meter, at=since)
        meter.evaluation_begin(now_s=since_s, at=since)
        name = meter.goal.metric or "quality"
        reached = meter.evaluation_end(quality, logs={**(logs or {}), name: quality})
        self._mark = (time.time(), time.perf_counter())
        return reached

    def stop(self) -> result.TrainResult:
        """Ends the run and returns its result. The end of the block ends it, too."""
        self._running()
        self._end(failure=None)
        if self.result is None:
            raise TfperfError("The run has no result.")
        return self.result

    def _running(self) -> Meter:
        if self._meter is None:
            raise ArgumentError(
                "start() was not called: the clock does not run. Call it before the first batch is read."
            )
        return self._meter

    def _begin_epoch(self, meter: Meter) -> None:
        since_s, since = self._mark
        block = cadence.block(meter, self._identity, global_batch_size=self._updated_size)
        meter.epoch_begin(meter.epoch_num + 1, block=block, now_s=since_s, at=since)
        self._in_epoch, self._examples = True, 0

    def _close_epoch(self, meter: Meter, *, at: float | None = None) -> None:
        meter.epoch_end(examples=self._examples, stats=self._stats(), at=at)
        if self._train_examples is None and self._examples is not None:
            self._train_examples = self._examples
            meter.log({"train_samples": self._examples})
        self._in_epoch = False

    def _stats(self) -> dict[str, float]:
        rate = hyperparameters.learning_rate(self._optimizer)
        return {} if rate is None else {"learning_rate": rate}

    def _unused_optimizer(self) -> Iterator[str]:
        updates = observations.updates(self._optimizer)
        if self._meter is not None and self._meter.steps and updates == self._updates_before:
            name = type(self._optimizer).__name__
            yield f"The optimizer that start() got, {name}, made no step: its values in the log are not the training's."

    def _end(self, *, failure: str | None) -> None:
        if self.result is not None or self._directory is None or self._meter is None:
            return
        if failure is None:
            self.epoch_end()
        self._meter.abort(failure or outcome.missed(self._meter))
        facts = outcome.RunFacts(
            started_by_hand=True,
            continued=outcome.continued(updates=self._updates_before),
            failure=failure,
            train_examples=self._train_examples,
            global_batch_size=self._updated_size,
            memory_peak_bytes=observations.device_memory_peak_bytes(),
            notes=tuple(self._unused_optimizer()),
        )
        environment = self._directory.environment
        found = outcome.of(self._meter, self._identity, facts=facts, config=self._config, environment=environment)
        self.result = self._directory.observed(found, self._meter)
        self._directory.finish(self.result)
        if self._verbose and self._directory.written:
            print(table.train_table(self.result, run_dir=self.run_dir))


def _is_count(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _quality(value: Any, *, metric: str | None) -> float:
    try:
        quality = float(value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"evaluated() needs the value of {metric} as a number, got {value!r}.") from error
    share = metric is not None and share_metrics.is_share(metric) and not math.isnan(quality)
    if share and not 0 <= quality <= 1 + share_metrics.ROUNDING:
        raise ArgumentError(f"{metric} must be a number from 0 to 1, got {quality:g}. Divide a percentage by 100.")
    return quality


def _reason(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
