"""The callback that measures a `model.fit` of code that knows nothing else of tfperf."""

from __future__ import annotations

import math
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import keras

from tfperf import result
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.callback import asked, outcome
from tfperf.callback.run_directory import RunDirectory, Subject, free
from tfperf.callback.watch import Watch, frame_of, local
from tfperf.errors import ArgumentError
from tfperf.reporting import table
from tfperf.training import batches_seen, goal, hyperparameters, input_wait
from tfperf.training.meter import Meter, scalars

_LEFT = "model.fit was left by an exception or an interrupt"
_UNSURE_STEPS = "How many steps the last execution of an epoch had is not known: it counts as a full one."
_UNEVEN = "The batches are of different sizes, so there is no batch size."


class MLPerfCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Times `model.fit` to a quality target, as MLPerf does, and leaves the run directory of `tfperf train`.

    The clock runs from the beginning of `fit`, or from `start`, to the end of the evaluation that reaches the target.
    Place it first in the list of callbacks: elsewhere the clock also counts what the callbacks before it do at the end
    of that evaluation, and is never too short.

    Without validation data, or without a target, it times and claims nothing. Training that goes on from earlier
    training (`initial_epoch`, `BackupAndRestore`, a second `fit`) has no valid time to train; the result says so. A
    second `fit` with the same callback gets a directory of its own, `<log_dir>-2`.

    Example:
        model.fit(
            train,
            validation_data=held_out,
            epochs=20,
            callbacks=[tfperf.MLPerfCallback(log_dir="runs/1", monitor="val_accuracy", target=0.97, verbose=1)],
        )

    Args:
        log_dir: the run directory, which must not hold a run: the log, events, result and environment, and TensorBoard
            files in `train`, `validation` and `target`.
        monitor: the metric that reaches the target, by its name in Keras's logs: `val_accuracy`, and `val_<output>_auc`
            in a model of several outputs.
        mode: `max` if the target is reached from below, `min` if from above, `auto` to tell by the metric.
        target: the value to reach.
        benchmark: a name such as `resnet50`, which gives `monitor`, `target` and the keys of the log.
        stop_at_target: whether training ends when the target is reached. The clock stops then in any case.
        global_batch_size: examples in each step, for a model with a `train_step` of its own; what Keras's own step
            trains on is counted.
        verbose: 1 prints the result when training ends.

    Raises:
        ArgumentError: a ValueError; an argument can't be used, with what is accepted.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        *,
        monitor: str | None = None,
        mode: str = "auto",
        target: float | None = None,
        benchmark: str | Benchmark | None = None,
        stop_at_target: bool = True,
        global_batch_size: int | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        self.log_dir = asked.directory(log_dir)
        self.verbose = verbose
        self.stop_at_target = stop_at_target
        self._subject = asked.subject(monitor=monitor, mode=mode, target=target, benchmark=benchmark, prefixed=True)
        self._batch_size = asked.batch_size(global_batch_size)
        self._run: _Run | None = None
        self._used = False
        self._begun = (0.0, 0)

    @property
    def result(self) -> result.TrainResult | None:
        """The result of the last run that ended; None while one goes on, and before the first."""
        if self._run is None:
            return None
        self._run.end_if_left()
        return self._run.result

    @property
    def run_dir(self) -> pathlib.Path | None:
        """Where the last run was written; None before the first."""
        return None if self._run is None else self._run.directory.path

    def start(self, model: keras.Model) -> None:
        """Starts the clock now, before any training data is read, as the rules ask; `fit` of the model comes next.

        Args:
            model: compiled.
        """
        self._open(model, params={})
        self._running().start(by_hand=True)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the clock, unless `start` did."""
        if self._run is None or self._run.watch is not None:
            self._open(self.model, params=self.params)
            self._running().start(by_hand=False)
        run = self._running()
        run.fitted(self.model, params=self.params or {})
        run.watch = Watch(frame_of("fit", of=self.model), on_left=lambda: run.end(failure=_LEFT))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Opens the epoch."""
        if self._run is not None:
            self._run.epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Notes when the execution begins, and with which step."""
        self._begun = (time.perf_counter(), batch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Times the execution."""
        if self._run is not None and self._run.meter.live:
            since, first = self._begun
            self._run.execution_end(since, first, batch, logs)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Ends the epoch's training time and opens the evaluation."""
        if self._run is not None:
            self._run.evaluation_begin()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Takes the quality; stops the clock, before anything else happens, when it reaches the target."""
        if self._run is not None and self._run.evaluation_end(logs) and self.stop_at_target:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Ends an epoch that no evaluation ended."""
        if self._run is not None:
            self._run.epoch_end()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the result."""
        run = self._running()
        run.end()
        if self.verbose and run.result is not None and run.directory.written:
            print(f"\n{table.train_table(run.result, run_dir=run.directory.path)}")

    def _open(self, model: keras.Model, *, params: Mapping[str, Any]) -> None:
        """Closes the last run, if it was left open, and opens the next."""
        if self._run is not None:
            self._run.end(failure=_LEFT)
        path = free(self.log_dir) if self._used else self.log_dir
        config = _config(self, self._subject, model, params)
        self._run = _Run(path, self._subject, model, config=config, batch_size=self._batch_size)
        self._used = True

    def _running(self) -> _Run:
        if self._run is None:
            raise ArgumentError(
                "Nothing was started. Pass the callback to fit, or call its hooks from on_train_begin on."
            )
        return self._run


class _Run:
    """One `fit`, from its begin to its result.

    Attributes:
        directory: where it is written.
        meter: its clock.
        watch: over the call of `fit`; None until that begins.
        result: None until the run ended.
    """

    def __init__(
        self,
        path: pathlib.Path,
        subject: Subject,
        model: keras.Model,
        *,
        config: dict[str, Any],
        batch_size: int | None,
    ) -> None:
        strategy = model.distribute_strategy
        self.directory = RunDirectory(path, subject=subject, config=config, strategy=strategy)
        self.meter = Meter(self.directory.sink, goal=subject.goal)
        self.meter.batch_size = batch_size
        self.watch: Watch | None = None
        self.result: result.TrainResult | None = None
        self._subject = subject
        self._model = model
        self._config = config
        self._given_batch = batch_size
        self._params: Mapping[str, Any] = {}
        self._by_hand = False
        self._continued: str | None = None
        self._notes: dict[str, None] = {}
        self._train_examples: int | None = None
        self._eval_examples: int | None = None
        self._input_share: list[float] = []
        self._updates_before = 0
        self._logs: Mapping[str, Any] | None = None
        self._counted = self._longest = self._last_batch = 0
        self._evaluating = False

    def start(self, *, by_hand: bool) -> None:
        """Logs what the optimizer says of itself and starts the clock."""
        self._by_hand = by_hand
        self.meter.say(hyperparameters.read(self._model.optimizer))
        self.meter.start()

    def fitted(self, model: keras.Model, *, params: Mapping[str, Any]) -> None:
        """Takes over the model that `fit` is called on, with Keras's `params` of the call."""
        self._model, self._params = model, params
        self._config |= {"epochs": params.get("epochs"), "steps_per_epoch": params.get("steps")}

    def epoch_begin(self, epoch: int) -> None:
        """Opens the epoch; the first one tells whether training goes on from earlier training."""
        if not self.meter.live:
            return
        updates = batches_seen.iterations(self._model) or 0
        if not self.meter.epoch_num:
            self._continued = _earlier(epoch, updates)
        self._updates_before = updates
        self._counted = self._longest = 0
        self.meter.epoch_begin(epoch + 1)

    def execution_end(self, since: float, first: int, last: int, logs: Mapping[str, Any] | None) -> None:
        """Counts steps `first` to `last` of the epoch, which began at `since`."""
        at = time.perf_counter()
        steps = last - first + 1
        self._counted += steps
        self._longest = max(self._longest, steps)
        self._last_batch = last
        self._logs = logs
        is_first = self.meter.step_times.first_s is None
        self.meter.execution_end(steps, seconds=at - since, at=at, stats=self._stats, logs=logs)
        if is_first:
            self._after_the_first(steps, logs)

    def evaluation_begin(self) -> None:
        """Opens an evaluation of `fit`, not one that a callback makes in between."""
        if not self.meter.live or not self._counted:
            return
        self._close_epoch(time.perf_counter())
        self._evaluating = True
        self.meter.evaluation_begin()

    def evaluation_end(self, logs: Mapping[str, Any] | None) -> bool:
        """Takes the metrics of the evaluation; returns whether the target is reached.

        Raises:
            ArgumentError: the monitored metric is not among them.
        """
        if not self.meter.live or not self._evaluating:
            return False
        self._evaluating = False
        values, metric = scalars(logs), self.meter.goal.metric
        if metric is not None and metric not in values:
            self._refuse(_unreported(metric, values))
        if self._eval_examples is None:
            self._eval_examples = batches_seen.examples(self._model, evaluation=True)
            self._say_examples("eval_samples", self._eval_examples)
        return self.meter.evaluation_end(None if metric is None else values[metric], logs=values)

    def epoch_end(self) -> None:
        """Ends an epoch that no evaluation ended."""
        if self.meter.live:
            self._close_epoch(time.perf_counter())
            self.meter.block_end()

    def end(self, *, failure: str | None = None) -> None:
        """Ends the run and writes its result; does nothing when that is done."""
        if self.result is not None:
            return
        if self.watch is not None:
            self.watch.stop()
        self.meter.abort(failure or outcome.missed(self.meter))
        self._config["model"] = _described(self._model)
        self.result = outcome.of(
            self.meter,
            self._subject,
            facts=self._facts(failure),
            config=self._config,
            environment=self.directory.environment,
        )
        self.directory.finish(self.result)

    def end_if_left(self) -> None:
        """Ends the run if an exception has left `fit`."""
        if self.watch is not None:
            self.watch.look()

    def _refuse(self, error: ArgumentError) -> NoReturn:
        self.end(failure=str(error))
        raise error

    def _facts(self, failure: str | None) -> outcome.Facts:
        return outcome.Facts(
            started_by_hand=self._by_hand,
            continued=self._continued,
            failure=failure,
            train_examples=self._train_examples,
            eval_examples=self._eval_examples,
            input_share=tuple(self._input_share),
            memory_peak_bytes=batches_seen.device_memory_peak_bytes(),
            notes=tuple(self._notes),
        )

    def _after_the_first(self, steps: int, logs: Mapping[str, Any] | None) -> None:
        """What the model knows once it is built: its metrics and the size of its batches."""
        metric = self.meter.goal.metric
        if metric is not None and metric not in (logs or {}) and _has_keras_steps(self._model):
            self._refuse(_unreported(metric, logs or {}))
        try:
            self.meter.goal = goal.resolved(self.meter.goal, self._model.metrics)
        except ArgumentError as error:
            self._refuse(error)
        executed = self._steps_of_the_first(steps)
        examples = batches_seen.examples(self._model)
        if examples is None and self._given_batch is not None and executed is not None:
            examples = executed * self._given_batch
        if executed is not None and examples is not None:
            self.meter.first_examples(examples, steps=executed)
            if self.meter.batch_size is None and examples % executed == 0:
                self.meter.batch_size = examples // executed

    def _steps_of_the_first(self, steps: int) -> int | None:
        if steps == 1 or steps <= (self._params.get("steps") or 0):
            return steps
        return batches_seen.steps_between(1, steps, found=[self._updates()])

    def _updates(self) -> int | None:
        """Steps of this epoch by the optimizer's count."""
        after = batches_seen.iterations(self._model)
        counts = after is not None and batches_seen.updates_every_step(self._model)
        return (after or 0) - self._updates_before if counts else None

    def _close_epoch(self, at: float) -> None:
        if not self._counted:
            return
        batch, examples = self.meter.batch_size, batches_seen.examples(self._model)
        steps = self._steps(examples, batch)
        if examples is None and self._given_batch is not None:
            examples = steps * self._given_batch
        if batch is not None and examples is not None and math.ceil(examples / batch) != steps:
            self.meter.batch_size = None
            self._notes[_UNEVEN] = None
        if steps != self._counted or (batch is not None and examples is not None and examples % batch):
            self.meter.step_times.drop_last()
        self._note_input_share()
        self.meter.epoch_end(examples=examples, stats={**scalars(self._logs), **self._stats()}, steps=steps, at=at)
        if self._train_examples is None and examples is not None:
            self._train_examples = examples
            self._say_examples("global_batch_size", self.meter.batch_size)
            self._say_examples("train_samples", examples)
        self._counted = 0

    def _steps(self, examples: int | None, batch: int | None) -> int:
        """Steps of the epoch: Keras counts the last execution as a full one, also when the data ended in it."""
        if self._longest == 1:
            return self._counted
        by_keras = self._params.get("steps") or 0
        by_examples = 0 if examples is None or batch is None else math.ceil(examples / batch)
        agreed = by_keras if by_keras == by_examples else None
        least = self._counted - self._longest + 1
        found = batches_seen.steps_between(least, self._counted, found=(self._updates(), agreed))
        if found is None and self._last_batch >= by_keras:
            self._notes[_UNSURE_STEPS] = None
        return self._counted if found is None else found

    def _note_input_share(self) -> None:
        frame = None if self.watch is None else self.watch.frame
        if frame is not None:
            share = input_wait.share(local(frame, "iterator"), self.meter.moments)
            if share is not None:
                self._input_share.append(share)

    def _say_examples(self, key: str, value: int | None) -> None:
        if value is not None:
            self.meter.say({key: value})

    def _stats(self) -> dict[str, float]:
        optimizer = self._model.optimizer
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            return {}
        return {"learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate))}


def _config(
    callback: MLPerfCallback, subject: Subject, model: keras.Model, params: Mapping[str, Any]
) -> dict[str, Any]:
    """What a reader needs to know of the run, as plain values."""
    policy = getattr(model, "dtype_policy", None)
    return {
        "benchmark": subject.name,
        "monitor": subject.goal.metric and f"{asked.PREFIX}{subject.goal.metric}",
        "target": subject.goal.target,
        "mode": subject.goal.mode,
        "stop_at_target": callback.stop_at_target,
        "model": _described(model),
        "precision": keras.config.dtype_policy().name if policy is None else policy.name,
        "steps_per_execution": model.steps_per_execution,
        "jit_compile": model.jit_compile,
        "optimizer": {
            **hyperparameters.read(model.optimizer),
            "schedule": _plain(hyperparameters.schedule(model.optimizer)),
        },
        "epochs": params.get("epochs"),
        "steps_per_epoch": params.get("steps"),
    }


def _described(model: keras.Model) -> dict[str, Any]:
    """Name and size; a model without an input shape has none before its first step."""
    return {"name": model.name, "parameters": model.count_params() if model.built else None}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, (int, float, str))}


def _earlier(epoch: int, updates: int) -> str | None:
    if epoch:
        return f"training went on from epoch {epoch}: what came before is not on the clock"
    if updates:
        return f"the model had been trained for {updates} steps before: they are not on the clock"
    return None


def _has_keras_steps(model: keras.Model) -> bool:
    names = ("train_step", "test_step", "compute_metrics", "get_metrics_result")
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in names)


def _unreported(metric: str, reported: Mapping[str, Any]) -> ArgumentError:
    names = ", ".join(f"{asked.PREFIX}{name}" for name in reported) or "nothing"
    return ArgumentError(f"monitor={asked.PREFIX + metric!r} is not among what the model reports: {names}.")
