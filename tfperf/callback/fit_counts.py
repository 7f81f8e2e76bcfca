"""Counts the steps and the examples that `model.fit` really trained on, epoch by epoch."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any

import keras

from tfperf.callback.exit_detector import local
from tfperf.training import observations

_UNSURE_STEPS = "The number of steps in the last execution of an epoch is unknown: it counts as a full one."
_RESET = (
    "The model's metrics were reset within an epoch, so its examples can't be counted. Pass global_batch_size to count "
    "the steps instead."
)
_PERHAPS_PARTIAL = (
    "The size of an epoch's last batch is unknown: it counts as a full one of global_batch_size examples. If it was "
    "smaller, fewer examples were trained."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochCounts:
    """What one epoch trained on.

    Attributes:
        steps: the steps.
        examples: the examples; None if unknown.
        exact: whether the examples are known exactly, or the size of the last batch was assumed.
    """

    steps: int
    examples: int | None
    exact: bool


class FitCounts:
    """The steps and examples of one `fit`, from Keras's calls, the model's metrics and the optimizer's updates.

    Args:
        model: the compiled model.
        batch_size: examples in each step, if the caller has set them.

    Attributes:
        reported: steps of the current epoch so far, as Keras reported them; 0 between epochs.
        notes: what had to be assumed, for a reader of the result; the keys of a dictionary, since their order counts.
    """

    def __init__(self, model: keras.Model, *, batch_size: int | None) -> None:
        self.reported = 0
        self.notes: dict[str, None] = {}
        self._model = model
        self._given_batch = batch_size
        self._planned_steps = 0
        self._updates_before = 0
        self._longest = self._last_batch = 0
        self._first_execution = (0, 0)
        self._metrics_reset = False

    def fitted(self, model: keras.Model, *, params: Mapping[str, Any]) -> None:
        """Sets the model that `fit` is called on, and Keras's `params` of the call."""
        self._model, self._planned_steps = model, params.get("steps") or 0

    def epoch_begin(self) -> int:
        """Opens an epoch and returns the updates that the optimizer had made before it. Waits for the device."""
        self._updates_before = observations.iterations(self._model) or 0
        self._first_execution = (0, 0)
        self.reported = self._longest = 0
        return self._updates_before

    def execution_end(self, first: int, last: int) -> int:
        """Counts an execution of steps `first` to `last` of the epoch; returns how many they are."""
        steps = last - first + 1
        self.reported += steps
        self._longest = max(self._longest, steps)
        self._last_batch = last
        return steps

    def first_execution(self, steps: int) -> tuple[int | None, int | None]:
        """The steps and the examples of the first execution of the run, right after it; None for what is unknown.

        Args:
            steps: its steps, as Keras reported them.
        """
        executed = self._steps_of_the_first(steps)
        examples = observations.examples(self._model)
        if examples is not None:
            self._first_execution = (steps, examples)
        elif self._given_batch is not None and executed is not None:
            examples = executed * self._given_batch
        return executed, examples

    def epoch_end(self, *, batch_size: int | None, frame: types.FrameType | None) -> EpochCounts:
        """Ends the epoch. Waits for the device.

        Args:
            batch_size: examples in each step, as far as the run has shown.
            frame: the running call of `fit`; None if it is unknown.
        """
        examples = self._counted_examples()
        steps = self._steps(examples, batch_size)
        self.reported = 0
        if examples is None and self._given_batch is not None:
            return self._assumed(steps, self._given_batch, frame)
        return EpochCounts(steps=steps, examples=examples, exact=examples is not None)

    def optimizer_stepped(self) -> bool:
        """Whether the compiled optimizer has made an update in the current epoch."""
        return (observations.iterations(self._model) or 0) > self._updates_before

    def _steps_of_the_first(self, steps: int) -> int | None:
        if steps == 1 or steps <= self._planned_steps:
            return steps
        return observations.steps_between(1, steps, found=[self._updates()])

    def _updates(self) -> int | None:
        """Steps of this epoch as the optimizer counted them."""
        after = observations.iterations(self._model)
        counts = after is not None and observations.updates_every_step(self._model)
        return (after or 0) - self._updates_before if counts else None

    def _counted_examples(self) -> int | None:
        """The examples of the epoch by the model's metrics; None if those were reset in between, as by
        `train_on_batch`."""
        found = observations.examples(self._model)
        if found is None or self._metrics_reset:
            return None
        executed = self.reported if self._longest == 1 else self.reported - self._longest + 1
        first_steps, first_examples = self._first_execution
        if found >= first_examples + max(0, executed - first_steps):  # a step has one example or more
            return found
        self._metrics_reset = True
        if self._given_batch is None:
            self.notes[_RESET] = None
        return None

    def _assumed(self, steps: int, batch_size: int, frame: types.FrameType | None) -> EpochCounts:
        """The counts of an epoch whose steps have `batch_size` examples, as the caller says, and its last one perhaps
        fewer."""
        if self._model.stop_training and steps < self._planned_steps:  # the last batch was not reached
            return EpochCounts(steps=steps, examples=steps * batch_size, exact=True)
        iterator = None if frame is None else local(frame, "epoch_iterator")
        last = observations.last_batch(iterator, batch_size=batch_size)
        if last is None:
            self.notes[_PERHAPS_PARTIAL] = None
        examples = (steps - 1) * batch_size + (last or batch_size)
        return EpochCounts(steps=steps, examples=examples, exact=last is not None)

    def _steps(self, examples: int | None, batch: int | None) -> int:
        """Steps of the epoch. Keras counts the last execution as a full one even when the data ended in it."""
        if self._longest == 1:
            return self.reported
        by_examples = 0 if examples is None or batch is None else math.ceil(examples / batch)
        agreed = self._planned_steps if self._planned_steps == by_examples else None
        least = self.reported - self._longest + 1
        found = observations.steps_between(least, self.reported, found=(self._updates(), agreed))
        if found is None and self._last_batch >= self._planned_steps:
            self.notes[_UNSURE_STEPS] = None
        return self.reported if found is None else found
