"""The callback that measures `model.fit` in existing code."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import keras

from tfperf import result
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.callback import arguments, benchmark_model, fit_config
from tfperf.callback.exit_detector import ExitDetector, frame_of
from tfperf.callback.fit_run import FitRun
from tfperf.callback.run_directory import MeasuredRunDirectory, NumberNotice
from tfperf.errors import ArgumentError
from tfperf.reporting import table

_EXITED = "model.fit exited with an exception or an interrupt"


class MLPerfCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Times `model.fit` to a quality target, as MLPerf does, and writes the same run directory as `tfperf train`.

    The clock runs from the beginning of `fit`, or from `start`, to the end of the evaluation that reaches the target.
    Place the callback first in the list: anywhere else, the clock also counts the time that earlier callbacks take at
    the end of that evaluation. The measured time is then too long, never too short.

    Without validation data or a target it only measures times. Training that continues earlier training
    (`initial_epoch`, `BackupAndRestore`, a second `fit`) has no valid time to train, and the result says so.

    No run is ever overwritten: where `log_dir` holds a run, as in a restarted job, a notebook's cell that runs again, a
    second `fit` or the trials of KerasTuner, the run goes to `<log_dir>-2`, `<log_dir>-3` and so on.

    Example:
        model.fit(
            train,
            validation_data=held_out,
            epochs=20,
            callbacks=[tfperf.MLPerfCallback(log_dir="runs/1", monitor="val_accuracy", target=0.97, verbose=1)],
        )

    Args:
        log_dir: the run directory. It gets the log, events, result and environment, and TensorBoard files in `train`,
            `validation` and `target`.
        monitor: the metric to monitor, by its name in Keras's logs: `val_accuracy`, or `val_<output>_auc` in a model
            with several outputs.
        mode: `max` if the metric should rise to the target, `min` if it should fall to it, `auto` to infer this from
            the metric.
        target: the value to reach.
        benchmark: a name such as `resnet50`, which sets `monitor`, `target` and the keys of the log. An MLPerf
            benchmark accepts no other target, and only a model of its size.
        stop_at_target: whether training ends when the target is reached. The clock stops in any case.
        global_batch_size: examples in each step, for a model with a custom `train_step`. With Keras's own `train_step`
            they are counted. `bert`, whose log counts samples, needs it in any case.
        if_taken: what happens if `log_dir` holds a run: `number` writes beside it, `refuse` raises an error.
        telemetry_hz: how many times a second the use and the energy of this machine are recorded, 0.1 to 10, by a
            process of its own; 0 records nothing.
        verbose: 1 prints the result when training ends.

    Raises:
        ArgumentError: a ValueError that says which argument can't be used, and what is accepted.
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
        if_taken: str = "number",
        telemetry_hz: float = 0.0,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        arguments.check_backend()
        self.log_dir, self._if_taken = arguments.directory(log_dir, if_taken=if_taken)
        self._telemetry = arguments.telemetry(telemetry_hz)
        self.verbose = verbose
        self.stop_at_target = stop_at_target
        self._identity = arguments.identity(
            monitor=monitor, mode=mode, target=target, benchmark=benchmark, prefixed=True
        )
        self._batch_size = arguments.batch_size(global_batch_size, of=self._identity)
        self._notice = NumberNotice(self.log_dir)
        self._run: FitRun | None = None
        self._begun = (0.0, 0)

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy, which has the same arguments and no run: KerasTuner copies callbacks for each model."""
        return {**self.__dict__, "_run": None, "_model": None, "params": None}

    @property
    def result(self) -> result.TrainResult | None:
        """The result of the last run; None while it is in progress, and before the first."""
        if self._run is None:
            return None
        self._run.end_if_exited()
        return self._run.result

    @property
    def run_dir(self) -> pathlib.Path | None:
        """The directory of the current or last run; None before the first."""
        return None if self._run is None else self._run.directory.path

    def set_model(self, model: keras.Model) -> None:
        """Takes the model from Keras.

        Raises:
            ArgumentError: it is not a model of Keras 3.
        """
        arguments.check_model(model)
        super().set_model(model)

    def start(self, model: keras.Model) -> None:
        """Starts the clock now, before any training data is read, as the rules require. Call the model's `fit` next.

        Args:
            model: the compiled model.

        Raises:
            ArgumentError: it is not a model of Keras 3.
        """
        arguments.check_model(model)
        self._open(model, params={})
        self._running().start(by_hand=True)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the clock, unless `start` did."""
        if self._run is None or self._run.exit_detector is not None:
            self._open(self.model, params=self.params or {})
            self._running().start(by_hand=False)
        run = self._running()
        run.fitted(self.model, params=self.params or {})
        run.exit_detector = ExitDetector(frame_of("fit", of=self.model), on_exit=lambda: run.end(failure=_EXITED))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Opens the epoch."""
        if self._run is not None:
            self._run.epoch_begin(epoch)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Records when the execution begins, and its first step."""
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
        """Ends the evaluation. If the quality reaches the target, stops the clock before anything else happens."""
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
        """Ends the previous run, if it is still open, and opens a new one."""
        again = self._run is not None
        if self._run is not None:
            self._run.end(failure=_EXITED)
        if model.built:  # if not, the first step shows its size
            benchmark_model.check(model, self._identity)
        config = fit_config.of(model, self._identity, stop_at_target=self.stop_at_target, params=params)
        directory = MeasuredRunDirectory(
            self.log_dir,
            identity=self._identity,
            config=config,
            strategy=model.distribute_strategy,
            if_taken="number" if again else self._if_taken,
            telemetry=self._telemetry,
        )
        if not again:
            self._notice.give(directory.path)
        self._run = FitRun(directory, self._identity, model, config=config, batch_size=self._batch_size)

    def _running(self) -> FitRun:
        if self._run is None:
            raise ArgumentError(
                "Nothing was started. Pass the callback to fit, or call its hooks from on_train_begin on."
            )
        return self._run
