"""One `model.fit` on the clock: counts what Keras really trained on, and writes the result."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

import keras

from tfperf import result
from tfperf.callback import arguments, benchmark_model, outcome
from tfperf.callback.exit_detector import ExitDetector, local
from tfperf.callback.run_directory import MeasuredRunDirectory, RunIdentity
from tfperf.errors import ArgumentError
from tfperf.training import goal as goals
from tfperf.training import hyperparameters, observations
from tfperf.training.meter import Meter, scalars

_UNSURE_STEPS = "The number of steps in the last execution of an epoch is unknown: it counts as a full one."
_RESET = (
    "The model's metrics were reset within an epoch, so its examples can't be counted. Pass global_batch_size to count "
    "the steps in its place."
)
_PERHAPS_PARTIAL = (
    "The last batch of an epoch counts as a whole one of global_batch_size, since its size is unknown: with a smaller "
    "one fewer examples were trained."
)
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
        self.meter = Meter(self.directory.sink, goal=identity.goal, batch_size=batch_size)
        self.exit_detector: ExitDetector | None = None
        self.result: result.TrainResult | None = None
        self._identity = identity
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
        self._first_execution = (0, 0)
        self._metrics_reset = False
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
        self._model, self._params = model, params
        self._config |= {"epochs": params.get("epochs"), "steps_per_epoch": params.get("steps")}

    def epoch_begin(self, epoch: int) -> None:
        """Opens the epoch. The first one shows whether training continues earlier training."""
        if not self.meter.live:
            return
        updates = observations.iterations(self._model) or 0
        if not self.meter.epoch_num:
            self._continued = _earlier(epoch, updates)
        self._updates_before = updates
        if self.meter.epochs:
            self._first_execution = (0, 0)
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
        """Opens an evaluation by `fit`; ignores one that a callback makes in between."""
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
        self._config["model"] = described(self._model)
        self.result = outcome.of(
            self.meter,
            self._identity,
            facts=self._facts(failure),
            config=self._config,
            environment=self.directory.environment,
        )
        self.directory.finish(self.result)

    def end_if_exited(self) -> None:
        """Ends the run if `fit` has exited with an exception."""
        if self.exit_detector is not None:
            self.exit_detector.check()

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
            input_share=tuple(self._input_share),
            memory_peak_bytes=observations.device_memory_peak_bytes(),
            notes=tuple(self._notes),
        )

    def _after_the_first(self, steps: int, logs: Mapping[str, Any] | None) -> None:
        """Reads what is known once the model is built: its metrics and the size of its batches."""
        metric = self.meter.goal.metric
        if metric is not None and metric not in (logs or {}) and _has_keras_steps(self._model):
            self._refuse(_unreported(metric, logs or {}))
        try:
            benchmark_model.check(self._model, self._identity)
            self.meter.goal = goals.resolved(self.meter.goal, self._model.metrics)
        except ArgumentError as error:
            self._refuse(error)
        executed = self._steps_of_the_first(steps)
        examples = observations.examples(self._model)
        if examples is not None:
            self._first_execution = (steps, examples)
        if examples is None and self._given_batch is not None and executed is not None:
            examples = executed * self._given_batch
        if executed is not None and examples is not None:
            self.meter.first_examples(examples, steps=executed)
            if self.meter.batch_size is None and examples % executed == 0:
                self.meter.batch_size = examples // executed

    def _steps_of_the_first(self, steps: int) -> int | None:
        if steps == 1 or steps <= (self._params.get("steps") or 0):
            return steps
        return observations.steps_between(1, steps, found=[self._updates()])

    def _updates(self) -> int | None:
        """Steps of this epoch as the optimizer counted them."""
        after = observations.iterations(self._model)
        counts = after is not None and observations.updates_every_step(self._model)
        return (after or 0) - self._updates_before if counts else None

    def _close_epoch(self, at: float) -> None:
        if not self._counted:
            return
        batch, examples = self.meter.batch_size, self._examples()
        steps = self._steps(examples, batch)
        whole = examples is not None
        if examples is None and self._given_batch is not None:
            examples, whole = self._examples_of(steps, batch_size=self._given_batch)
        if not self._optimizer_known:
            self._log_optimizer(self._stepped())
        if batch is not None and examples is not None and math.ceil(examples / batch) != steps:
            self.meter.batch_size = None
            self._notes[_UNEVEN] = None
        if steps != self._counted or (batch is not None and examples is not None and examples % batch):
            self.meter.step_times.drop_last()
        self._note_input_share()
        self.meter.epoch_end(examples=examples, stats={**scalars(self._logs), **self._stats()}, steps=steps, at=at)
        if self._train_examples is None and examples is not None:
            self._train_examples = examples
            self._log_examples("global_batch_size", self._global_batch_size())
            if whole:
                self._log_examples("train_samples", examples)
        self._counted = 0

    def _examples(self) -> int | None:
        """The examples of the epoch by the model's metrics; None if those were reset in between, as by
        `train_on_batch`."""
        found = observations.examples(self._model)
        if found is None or self._metrics_reset:
            return None
        executed = self._counted if self._longest == 1 else self._counted - self._longest + 1
        first_steps, first_examples = self._first_execution
        if found >= first_examples + max(0, executed - first_steps):  # a step has one example or more
            return found
        self._metrics_reset = True
        if self._given_batch is None:
            self._notes[_RESET] = None
        return None

    def _examples_of(self, steps: int, *, batch_size: int) -> tuple[int, bool]:
        """The examples of steps whose batches have a given size, and whether the size of the last batch is known."""
        if steps < (self._params.get("steps") or 0):
            return steps * batch_size, True
        frame = None if self.exit_detector is None else self.exit_detector.frame
        last = None if frame is None else observations.last_batch(local(frame, "epoch_iterator"), batch_size=batch_size)
        if last is None:
            self._notes[_PERHAPS_PARTIAL] = None
        return (steps - 1) * batch_size + (last or batch_size), last is not None

    def _stepped(self) -> Any:
        """The optimizer that a custom training step used: the compiled one, or those that the model holds itself."""
        if (observations.iterations(self._model) or 0) > self._updates_before:
            return self._model.optimizer
        return None

    def _log_optimizer(self, optimizer: Any) -> None:
        """Logs the optimizer that trains; one that was compiled and never steps says nothing about the training."""
        self._optimizer_known, self._used_optimizer = True, optimizer
        self._config["optimizer"] = described_optimizer(optimizer)
        self.meter.log({**hyperparameters.read(optimizer), **hyperparameters.accumulation(optimizer)})
        if optimizer is None and self._model.optimizer is not None:
            self._notes[_never_stepped(self._model)] = None

    def _steps(self, examples: int | None, batch: int | None) -> int:
        """Steps of the epoch. Keras counts the last execution as a full one even when the data ended in it."""
        if self._longest == 1:
            return self._counted
        by_keras = self._params.get("steps") or 0
        by_examples = 0 if examples is None or batch is None else math.ceil(examples / batch)
        agreed = by_keras if by_keras == by_examples else None
        least = self._counted - self._longest + 1
        found = observations.steps_between(least, self._counted, found=(self._updates(), agreed))
        if found is None and self._last_batch >= by_keras:
            self._notes[_UNSURE_STEPS] = None
        return self._counted if found is None else found

    def _note_input_share(self) -> None:
        frame = None if self.exit_detector is None else self.exit_detector.frame
        if frame is not None:
            share = observations.input_share(local(frame, "iterator"), self.meter.moments)
            if share is not None:
                self._input_share.append(share)

    def _warn_if_never_evaluated(self) -> None:
        """Warns after the first epoch of a `fit` that has a target and nothing to evaluate on."""
        goal, frame = self.meter.goal, None if self.exit_detector is None else self.exit_detector.frame
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
        optimizer = self._used_optimizer
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            return {}
        return {"learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate))}


def described(model: keras.Model) -> dict[str, Any]:
    """Name and size; a model without an input shape has none before its first step."""
    return {"name": model.name, "parameters": model.count_params() if model.built else None}


def described_optimizer(optimizer: Any) -> dict[str, Any]:
    """The values of an optimizer, and the arguments of its schedule."""
    if optimizer is None:
        return {}
    schedule = hyperparameters.schedule(optimizer)
    return {
        **hyperparameters.read(optimizer),
        **hyperparameters.accumulation(optimizer),
        "schedule": {name: value for name, value in schedule.items() if isinstance(value, (int, float, str))},
    }


def _never_stepped(model: keras.Model) -> str:
    own = {name: found for name, found in vars(model).items() if isinstance(found, keras.optimizers.Optimizer)}
    others = ", ".join(
        f"{name} ({type(found).__name__})" for name, found in own.items() if found is not model.optimizer
    )
    used = f" The model holds {others}." if others else ""
    return f"The compiled optimizer, {type(model.optimizer).__name__}, made no step, so no optimizer is logged.{used}"


def _earlier(epoch: int, updates: int) -> str | None:
    if epoch:
        return f"training continued from epoch {epoch}: the training before it is not on the clock"
    if updates:
        return f"the model had been trained for {updates} steps before: they are not on the clock"
    return None


def _has_keras_steps(model: keras.Model) -> bool:
    names = ("train_step", "test_step", "compute_metrics", "get_metrics_result")
    return all(getattr(type(model), name) is getattr(keras.Model, name) for name in names)


def _unreported(metric: str, reported: Mapping[str, Any]) -> ArgumentError:
    names = ", ".join(f"{arguments.PREFIX}{name}" for name in reported) or "nothing"
    return ArgumentError(f"monitor={arguments.PREFIX + metric!r} is not a metric that the model reports: {names}.")
