"""The clock of a training run: a Keras callback that turns what happens into events and stops at the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import keras

from tfperf.benchmarks.benchmark import QualityTarget
from tfperf.errors import UsageError
from tfperf.events import Event, Sink

_STATS_EVERY_S = 0.5


def unreported(metric: str, reported: Iterable[str]) -> UsageError:
    """The error of a target whose metric the model does not report."""
    return UsageError(f"The target's metric is {metric!r}, the model reports {', '.join(reported) or 'nothing'}.")


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Events of a training run, in MLPerf's words, and its clock.

    The clock runs from `start` to the end of the evaluation that reaches the target. Stand first in the list of
    callbacks: then the clock stops before any other callback sees that evaluation.

    Args:
        sink: receives the events.
        target: where to stop.
        global_batch_size: examples in a step.
        block_epochs: epoch, from 1 -> how many epochs, that one included, there are up to the next evaluation.

    Attributes:
        quality: the metric at the last evaluation; None before the first.
        reached: whether the target was reached.
        epochs: epochs finished.
        init_s: seconds from the making of the recorder to `start`.
        run_s: seconds on the clock: so far, or in all once it stopped.
        evaluation_s: seconds of them spent in evaluation.
        training_s: seconds of them spent in training, not in evaluation.
        examples: training examples seen.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        target: QualityTarget,
        global_batch_size: int,
        block_epochs: Callable[[int], int] = lambda epoch: 1,
    ) -> None:
        super().__init__()
        self.quality: float | None = None
        self.reached = False
        self.epochs = 0
        self.training_s = 0.0
        self.evaluation_s = 0.0
        self.examples = 0
        self._sink = sink
        self._target = target
        self._batch = global_batch_size
        self._block_epochs = block_epochs
        self._block: dict[str, int] | None = None
        self._steps = 0
        self._epoch_steps = 0
        self._made = time.perf_counter()
        self._started: float | None = None
        self._stopped: float | None = None
        self._mark = 0.0
        self._said = (0.0, 0)

    @property
    def init_s(self) -> float:
        """Seconds of initialisation."""
        return (self._started or time.perf_counter()) - self._made

    @property
    def run_s(self) -> float:
        """Seconds on the clock."""
        if self._started is None:
            return 0.0
        return (self._stopped or time.perf_counter()) - self._started

    def start(self) -> None:
        """Starts the clock; from here on training data may be read."""
        self._sink.flush()  # before the clock starts: it waits for the disk
        now, self._started = time.time(), time.perf_counter()
        self._sink.emit(Event(key="init_stop", time_s=now))
        self._sink.emit(Event(key="run_start", time_s=now))

    def abort(self, reason: str) -> None:
        """Ends a run that is not going to reach its target; does nothing while the clock is not running."""
        if self._started is not None and self._stopped is None:
            self._stop(time.time(), status="aborted", reason=reason)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Opens the epoch, and a block of epochs where one starts."""
        number = epoch + 1
        if self._block is None:
            self._block = {"first_epoch_num": number, "epoch_count": self._block_epochs(number)}
            self._emit("block_start", metadata=self._block)
        self._emit("epoch_start", metadata={"epoch_num": number})
        self._mark = time.perf_counter()
        self._said = (self._mark, self._steps)
        self._epoch_steps = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Counts the steps of the execution; twice a second it tells the loss and the speed."""
        steps = batch + 1 - self._epoch_steps  # `batch` is the last of the execution
        self._epoch_steps += steps
        self._steps += steps
        self.examples += steps * self._batch
        now = time.perf_counter()
        if now - self._said[0] >= _STATS_EVERY_S:
            self._emit("tracked_stats", value=self._stats(now, logs or {}), metadata=self._place(self.epochs + 1))
            self._said = (now, self._steps)

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Ends the epoch's training time and opens the evaluation."""
        self._end_epoch()
        self._emit("eval_start", metadata={"epoch_num": self.epochs})
        self._mark = time.perf_counter()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Takes the quality; stops the clock, before anything else happens, when it reaches the target."""
        now, at = time.time(), time.perf_counter()
        self.evaluation_s += at - self._mark
        values = logs or {}
        if self._target.metric not in values:
            raise unreported(self._target.metric, values)
        self.quality = values[self._target.metric]
        self.reached = self.quality >= self._target.value
        if self.reached:
            self._stopped = at
        place = self._place(self.epochs)
        held_out = {f"val_{name}": value for name, value in values.items()}
        self._emit("eval_accuracy", now, value=self.quality, metadata=place)
        self._emit("tracked_stats", now, value=held_out, metadata=place)
        self._emit("eval_stop", now, metadata={"epoch_num": self.epochs})
        self._end_block(now)
        if self.reached:
            self._stop(now, status="success")
            self.model.stop_training = True
        self._sink.flush()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Ends an epoch that no evaluation ended, and tells its mean loss, metrics and speed."""
        if self._stopped is None and self.epochs == epoch:
            self._end_epoch()

    def _end_epoch(self) -> None:
        now = time.perf_counter()
        self.training_s += now - self._mark
        self.epochs += 1
        logs = {name: float(value) for name, value in self.model.get_metrics_result().items()}
        stats = self._stats(now, logs) if self._steps > self._said[1] else logs
        self._emit("tracked_stats", value=stats, metadata=self._place(self.epochs))
        self._emit("epoch_stop", metadata={"epoch_num": self.epochs})

    def _stats(self, now: float, logs: dict[str, float]) -> dict[str, float]:
        since, before = self._said
        step_s = (now - since) / (self._steps - before)
        rates = {"throughput": self._batch / step_s, "step_time_ms": step_s * 1e3}
        return {**logs, "learning_rate": self._learning_rate(), **rates}

    def _learning_rate(self) -> float:
        return float(self.model.optimizer.learning_rate.numpy())

    def _place(self, epoch: int) -> dict[str, int]:
        return {"step": self._steps, "epoch_num": epoch}

    def _end_block(self, now: float) -> None:
        if self._block is not None:
            self._emit("block_stop", now, metadata=self._block)
            self._block = None

    def _stop(self, now: float, *, status: str, reason: str | None = None) -> None:
        self._stopped = self._stopped or time.perf_counter()
        self._end_block(now)
        why = {} if reason is None else {"reason": reason}
        self._emit("run_stop", now, metadata={"status": status, "epoch_num": self.epochs, **why})
        self._sink.flush()

    def _emit(self, key: str, time_s: float | None = None, *, value: Any = None, metadata: Any = None) -> None:
        self._sink.emit(Event(key=key, time_s=time_s or time.time(), value=value, metadata=metadata or {}))
