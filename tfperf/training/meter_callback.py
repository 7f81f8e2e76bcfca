"""Reports what tfperf's own training loop does to the run's meter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import keras

from tfperf.errors import UsageError
from tfperf.training.meter import Meter


def unreported(metric: str, reported: Iterable[str], *, by: str = "the model") -> UsageError:
    """The error for a target whose metric nothing reports."""
    return UsageError(f"The target's metric is {metric!r}, {by} reports {', '.join(reported) or 'nothing'}.")


class MeterCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Drives a meter from the hooks of `training.loop.fit` and ends training at the target.

    Place it first in the list of callbacks: then the clock stops before any other callback sees the evaluation that
    reaches the target.

    Args:
        meter: the meter. The caller starts it; it has a batch size and a goal with a metric.
        block: number of an epoch, from 1 -> epochs or samples from its beginning to the next evaluation.
        reporter: names what should report the metric, for the error message if it does not.
    """

    def __init__(
        self, meter: Meter, *, block: Callable[[int], int] = lambda epoch: 1, reporter: str = "the model"
    ) -> None:
        super().__init__()
        self.meter = meter
        self._block = block
        self._reporter = reporter
        self._epoch_steps = 0
        self._in_epoch = False
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Opens the epoch."""
        self._epoch_steps, self._in_epoch, self._begun = 0, True, True
        self.meter.epoch_begin(epoch + 1, block=self._block(epoch + 1))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Counts the steps of the execution."""
        steps = batch + 1 - self._epoch_steps  # `batch` is the last step of the execution
        self._epoch_steps += steps
        self.meter.execution_end(steps, at=time.perf_counter(), stats=self._stats, logs=logs)

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Ends the epoch's training time and opens the evaluation."""
        if self._in_epoch:
            self._end_epoch()
        self.meter.evaluation_begin()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Ends the evaluation. If the quality reaches the target, stops the clock before anything else happens.

        If it does so before the first step, training ends, too, but the target counts as missed.

        Raises:
            UsageError: the target's metric was not evaluated.
        """
        values, metric = logs or {}, self.meter.goal.metric
        if metric is None or metric not in values:
            raise unreported(str(metric), values, by=self._reporter)
        quality, untrained = values[metric], not self._begun
        reached = self.meter.evaluation_end(quality, logs=values, untrained=untrained)
        if reached or (untrained and self.meter.goal.reached_by(quality)):
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Ends an epoch that no evaluation ended."""
        if self._in_epoch:
            self._end_epoch()

    def _end_epoch(self) -> None:
        self._in_epoch = False
        batch_size = self.meter.batch_size
        examples = None if batch_size is None else self._epoch_steps * batch_size
        means = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        self.meter.epoch_end(examples=examples, stats={**means, **self._stats()})

    def _stats(self) -> dict[str, float]:
        return {"learning_rate": float(self.model.optimizer.learning_rate.numpy())}
