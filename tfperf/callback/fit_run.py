"""One `model.fit` on the clock, from its beginning to its result."""

from __future__ import annotations

import math
import time
import types
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

import keras

from tfperf import result
from tfperf.callback import arguments, benchmark_model, cadence, fit_config, outcome
from tfperf.callback.exit_detector import ExitDetector, local
from tfperf.callback.fit_counts import FitCounts
from tfperf.callback.run_directory import MeasuredRunDirectory, RunIdentity
from tfperf.errors import ArgumentError
from tfperf.training import goal as goals
from tfperf.training import hyperparameters, observations
from tfperf.training.meter import Meter, scalars

_UNEVEN = "The batches are of different sizes, so there is no batch size."


class FitRun:
    """One call of `fit`, from its beginning to its result.

    Args:
        directory: the run directory.
        identity: the benchmark and the goal.
        model: the compiled model.
        config: the arguments as plain values.
        batch_size: examples in each step, if the caller has set them.

    Attributes:
        directory: the run directory.
        meter: the clock.
        exit_detector: notices exceptions in `fit`; None until `fit` is called.
        result: the result; None until the run has ended.
    """

    def __init__(
        self,
        directory: MeasuredRunDirectory,
        identity: RunIdentity,
        model: keras.Model,
        *,
        config: dict[str, Any],
        batch_size: int | None,
    ) -> None:
        self.directory = directory
        self.meter = Meter(self.directory.sink, goal=identity.goal, unit=identity.unit, batch_size=batch_size)
        self.exit_detector: ExitDetector | None = None
        self.result: result.TrainResult | None = None
        self._identity = identity
        self._model = model
        self._config = config
        self._counts = FitCounts(model, batch_size=batch_size)
        self._given_batch = batch_size
        self._by_hand = False
        self._continued: str | None = None
        self._notes: dict[str, None] = {}
        self._train_examples: int | None = None
        self._eval_examples: int | None = None
        self._input_share: list[float] = []
        self._logs: Mapping[str, Any] | None = None
        self._used_optimizer: Any = None
        self._optimizer_known = False
        self._evaluating = False

    def start(self, *, by_hand: bool) -> None:
        """Logs the hyper-parameters of the optimizer and starts the clock."""
        self._by_hand = by_hand
        if observations.has_keras_steps(self._model):
            self._log_optimizer(self._model.optimizer)
        self.meter.start()

    def fitted(self, model: keras.Model, *, params: Mapping[str, Any]) -> None:
        """Sets the model that `fit` is called on, and Keras's `params` of the call."""
        self._model = model
        self._counts.fitted(model, params=params)
        self._config |= fit_config.of_call(params)

    def epoch_begin(self, epoch: int) -> None:
        """Opens the epoch. The first one shows whether training continues earlier training."""
        if not self.meter.live:
            return
        updates = self._counts.epoch_begin()
        if not self.meter.epoch_num:
            self._continued = outcome.continued(updates=updates, epoch=epoch)
        accumulated = hyperparameters.accumulation(self._model.optimizer).get("gradient_accumulation_steps", 1)
        batch_size = (self._given_batch or 0) * accumulated
        self.meter.epoch_begin(epoch + 1, block=cadence.block(self.meter, self._identity, global_batch_size=batch_size))

    def execution_end(self, since: float, first: int, last: int, logs: Mapping[str, Any] | None) -> None:
        """Counts steps `first` to `last` of the epoch, which began at `since`."""
        at = time.perf_counter()
        steps = self._counts.execution_end(first, last)
        self._logs = logs
        is_first = self.meter.step_times.first_s is None
        self.meter.execution_end(steps, seconds=at - since, at=at, stats=self._stats, logs=logs)
        if is_first:
            self._after_the_first(steps, logs)

    def evaluation_begin(self) -> None:
        """Opens an evaluation by `fit`; ignores one that a callback makes in between."""
        if not self.meter.live or not self._counts.reported:
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
            self._eval_examples = observations.examples(self._model, evaluation=True)
            self._log_examples("eval_samples", self._eval_examples)
        return self.meter.evaluation_end(None if metric is None else values[metric], logs=values)

    def epoch_end(self) -> None:
        """Ends an epoch that no evaluation ended."""
        if self.meter.live:
            self._close_epoch(time.perf_counter())
            self.meter.block_end()
            if len(self.meter.epochs) == 1:
                self._warn_if_never_evaluated()

    def end(self, *, failure: str | None = None) -> None:
        """Ends the run and writes its result; does nothing when it has ended."""
        if self.result is not None:
            return
        if self.exit_detector is not None:
            self.exit_detector.stop()
        self.meter.abort(failure or outcome.missed(self.meter))
        self._config["model"] = fit_config.of_model(self._model)
        found = outcome.of(
            self.meter,
            self._identity,
            facts=self._facts(failure),
            config=self._config,
            environment=self.directory.environment,
        )
        waited = sum(self._input_share) / len(self._input_share) if self._input_share else None
        self.result = self.directory.observed(found, self.meter, input_share=waited)
        self.directory.finish(self.result)

    def end_if_exited(self) -> None:
        """Ends the run if `fit` has exited with an exception."""
        if self.exit_detector is not None:
            self.exit_detector.check()

    @property
    def _frame(self) -> types.FrameType | None:
        """The running call of `fit`; None while it is unknown."""
        return None if self.exit_detector is None else self.exit_detector.frame

    def _refuse(self, error: ArgumentError) -> NoReturn:
        self.end(failure=str(error))
        raise error

    def _facts(self, failure: str | None) -> outcome.RunFacts:
        return outcome.RunFacts(
            started_by_hand=self._by_hand,
            continued=self._continued,
            failure=failure,
            train_examples=self._train_examples,
            eval_examples=self._eval_examples,
            global_batch_size=self._global_batch_size() or 0,
            input_share=tuple(self._input_share),
            memory_peak_bytes=observations.device_memory_peak_bytes(),
            notes=(*self._notes, *self._counts.notes),
        )

    def _after_the_first(self, steps: int, logs: Mapping[str, Any] | None) -> None:
        """Reads what is known once the model is built: its metrics and the size of its batches."""
        metric = self.meter.goal.metric
        if metric is not None and metric not in (logs or {}) and _reports_compiled_metrics(self._model):
            self._refuse(_unreported(metric, logs or {}))
        try:
            benchmark_model.check(self._model, self._identity)
            self.meter.goal = goals.resolved(self.meter.goal, self._model.metrics)
        except ArgumentError as error:
            self._refuse(error)
        executed, examples = self._counts.first_execution(steps)
        if executed is not None and examples is not None:
            if self.meter.unit == "samples" and examples != executed * (self._given_batch or 0):
                self._refuse(_other_batch(self._given_batch, examples=examples, steps=executed))
            self.meter.first_examples(examples, steps=executed)
            if self.meter.batch_size is None and examples % executed == 0:
                self.meter.batch_size = examples // executed

    def _close_epoch(self, at: float) -> None:
        reported, batch = self._counts.reported, self.meter.batch_size
        if not reported:
            return
        counts = self._counts.epoch_end(batch_size=batch, frame=self._frame)
        examples, steps = counts.examples, counts.steps
        if not self._optimizer_known:  # a custom training step uses the compiled one, or those that the model holds
            self._log_optimizer(self._model.optimizer if self._counts.optimizer_stepped() else None)
        if batch is not None and examples is not None and math.ceil(examples / batch) != steps:
            self.meter.batch_size = None
            self._notes[_UNEVEN] = None
        if steps != reported or (batch is not None and examples is not None and examples % batch):
            self.meter.step_times.drop_last()
        self._note_input_share()
        self.meter.epoch_end(examples=examples, stats={**scalars(self._logs), **self._stats()}, steps=steps, at=at)
        if self._train_examples is None and examples is not None:
            self._train_examples = examples
            self._log_examples("global_batch_size", self._global_batch_size())
            if counts.exact:
                self._log_examples("train_samples", examples)

    def _log_optimizer(self, optimizer: Any) -> None:
        """Logs the optimizer that trains; one that was compiled and never steps says nothing about the training."""
        self._optimizer_known, self._used_optimizer = True, optimizer
        self._config["optimizer"] = fit_config.of_optimizer(optimizer)
        self.meter.log({**hyperparameters.read(optimizer), **hyperparameters.accumulation(optimizer)})
        if optimizer is None and self._model.optimizer is not None:
            self._notes[_never_stepped(self._model)] = None

    def _note_input_share(self) -> None:
        frame = self._frame
        if frame is not None:
            share = observations.input_share(local(frame, "iterator"), self.meter.moments)
            if share is not None:
                self._input_share.append(share)

    def _warn_if_never_evaluated(self) -> None:
        """Warns after the first epoch of a `fit` that has a target and nothing to evaluate on."""
        goal, frame = self.meter.goal, self._frame
        if goal.target is None or self.meter.quality is not None or frame is None:
            return
        if str(frame.f_globals.get("__name__")).startswith("keras.") and local(frame, "validation_data") is None:
            name = f"{arguments.PREFIX}{goal.metric}"
            warnings.warn(
                f"The target {name}={goal.target:g} can't be reached: fit has no held-out data, so epoch 1 ended "
                "without an evaluation. Give fit validation_data or validation_split.",
                stacklevel=2,
            )

    def _global_batch_size(self) -> int | None:
        """Examples in an update of the weights, which Keras may make after several steps."""
        accumulated = hyperparameters.accumulation(self._used_optimizer).get("gradient_accumulation_steps", 1)
        return None if self.meter.batch_size is None else self.meter.batch_size * accumulated

    def _log_examples(self, key: str, value: int | None) -> None:
        if value is not None:
            self.meter.log({key: value})

    def _stats(self) -> dict[str, float]:
        rate = hyperparameters.learning_rate(self._used_optimizer)
        return {} if rate is None else {"learning_rate": rate}


def _other_batch(given: int | None, *, examples: int, steps: int) -> ArgumentError:
    return ArgumentError(
        f"global_batch_size={given} is not what fit trains on: the first {steps} steps had {examples} examples. Pass "
        "the examples in each step."
    )


def _never_stepped(model: keras.Model) -> str:
    own = {name: found for name, found in vars(model).items() if isinstance(found, keras.optimizers.Optimizer)}
    others = ", ".join(
        f"{name} ({type(found).__name__})" for name, found in own.items() if found is not model.optimizer
    )
    used = f" The model holds {others}." if others else ""
    return f"The compiled optimizer, {type(model.optimizer).__name__}, made no step, so no optimizer is logged.{used}"


def _reports_compiled_metrics(model: keras.Model) -> bool:
    """Whether nothing in the model changes which metrics its steps report."""
    names = ("train_step", "test_step", "compute_metrics", "get_metrics_result")
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in names)


def _unreported(metric: str, reported: Mapping[str, Any]) -> ArgumentError:
    names = ", ".join(f"{arguments.PREFIX}{name}" for name in reported) or "nothing"
    return ArgumentError(f"monitor={arguments.PREFIX + metric!r} is not a metric that the model reports: {names}.")
