"""The clock of a training run. A loop or a callback reports what happens, and the meter emits the run's events."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tfperf.events import Event, Sink
from tfperf.training.goal import Goal
from tfperf.training.pace import Epoch, StepTimes

STATS_EVERY_S = 0.5
_MOMENTS = 128

Stats = Mapping[str, float]
Unit = Literal["epochs", "samples"]


def scalars(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """The scalar values in Keras's logs; metrics with several values are left out."""
    return {name: float(value) for name, value in (logs or {}).items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "shape", None) == ()


class Meter:
    """The clock of a training run, and its events under MLPerf's keys.

    An execution is one call of the compiled training function, which does one or more steps. The meter assumes nothing
    about the loop: it records steps, epochs and evaluations in the order in which they are reported. The clock runs
    from `start` to the end of the evaluation that reaches the target.

    Args:
        sink: receives the events.
        goal: when to stop the clock.
        unit: what `epoch_num` counts in the log: epochs, or samples as in the logs of BERT. With samples an epoch is
            the training between two evaluations, and the log has no `epoch_start` and `epoch_stop`.
        batch_size: examples in a step; None until it is known. Samples can't be counted without it.
        compiled: whether everything was compiled before the clock starts. If not, speeds leave out the first execution
            of the run, which traces and compiles.

    Attributes:
        goal: the goal; its direction may become known during the run.
        quality: the monitored metric at the last evaluation; None before the first.
        reached: whether `quality` reached the target.
        untrained_quality: the monitored metric before the first step; None if it was not evaluated.
        epochs: the epochs that have ended.
        steps: steps so far.
        step_times: the step times of the executions.
        evaluation_s: seconds on the clock spent in evaluation.
        evaluated_at: the position at each evaluation of a trained model.
        live: whether the clock is running.
        moments: (`time.perf_counter`, steps so far) at the end of each of the epoch's last executions.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        goal: Goal,
        unit: Unit = "epochs",
        batch_size: int | None = None,
        compiled: bool = False,
    ) -> None:
        if unit == "samples" and batch_size is None:
            raise ValueError("A meter that counts samples needs a batch_size, got None.")
        self.goal = goal
        self.unit = unit
        self.batch_size = batch_size
        self.quality: float | None = None
        self.reached = False
        self.untrained_quality: float | None = None
        self.epochs: list[Epoch] = []
        self.steps = 0
        self.step_times = StepTimes()
        self.evaluation_s = 0.0
        self.evaluated_at: list[int] = []
        self.live = False
        self.moments: collections.deque[tuple[float, int]] = collections.deque(maxlen=_MOMENTS)
        self._sink = sink
        self._compiled = compiled
        self._made = time.perf_counter()
        self._started = self._stopped = self._mark = 0.0
        self._epoch: int | None = None
        self._evaluating = False
        self._block: dict[str, int] | None = None
        self._epoch_steps = 0
        self._first: tuple[float, int, int | None] = (0.0, 0, 0)
        self._partial_s = 0.0
        self._reported = (0.0, 0)

    @property
    def init_s(self) -> float:
        """Seconds from the creation of the meter to `start`."""
        return (self._started or time.perf_counter()) - self._made

    @property
    def run_s(self) -> float:
        """Seconds on the clock: so far, or in total once it has stopped."""
        if not self._started:
            return 0.0
        return (self._stopped or time.perf_counter()) - self._started

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """When the clock started and stopped, by `time.perf_counter_ns`; None while it has not done both."""
        if not self._started or not self._stopped:
            return None
        return round(self._started * 1e9), round(self._stopped * 1e9)

    @property
    def training_s(self) -> float:
        """Seconds on the clock spent in training, including an epoch that was cut off."""
        return sum(epoch.seconds for epoch in self.epochs) + self._partial_s

    @property
    def examples(self) -> int | None:
        """Training examples so far, `batch_size` for each step of an epoch that goes on; None if they are unknown."""
        ended = [epoch.examples for epoch in self.epochs]
        rest = self.steps - sum(epoch.steps for epoch in self.epochs)
        if None in ended or (rest and self.batch_size is None):
            return None if self.batch_size is None else self.steps * self.batch_size
        return sum(examples or 0 for examples in ended) + rest * (self.batch_size or 0)

    @property
    def epoch_num(self) -> int:
        """The number of the current epoch or, between epochs, of the last one; 0 before the first."""
        return self._epoch or (self.epochs[-1].number if self.epochs else 0)

    @property
    def position(self) -> int:
        """How far the run has come, in `unit`: `epoch_num` in the log."""
        return (self.examples or 0) if self.unit == "samples" else self.epoch_num

    def start(self) -> None:
        """Starts the clock. Training data may be read from here on."""
        self._sink.flush()  # before the clock starts: it waits for the disk
        now, self._started = time.time(), time.perf_counter()
        self.live = True
        self._emit("init_stop", now)
        self._emit("run_start", now)

    def log(self, values: Mapping[str, Any]) -> None:
        """Logs hyper-parameters, each under its key."""
        for key, value in values.items():
            self._emit(key, value=value)

    def epoch_begin(self, number: int, *, block: int = 1, now_s: float | None = None, at: float | None = None) -> None:
        """Opens an epoch, and a block unless one is open.

        Args:
            number: the number of the epoch, from 1.
            block: epochs or samples from here to the next evaluation, as planned. A loop that doesn't know leaves it
                out and ends each epoch's block with `block_end`.
            now_s: the `time.time` at which the epoch began; None for now.
            at: the `time.perf_counter` at which it began; None for now.
        """
        if self._block is None:
            first = number if self.unit == "epochs" else self.position
            self._block = {"first_epoch_num": first, "epoch_count": block}
            self._emit("block_start", now_s, metadata=self._block)
        self._epoch = number
        if self.unit == "epochs":
            self._emit("epoch_start", now_s, metadata={"epoch_num": number})
        self._mark = time.perf_counter() if at is None else at
        self._reported = (self._mark, self.steps)
        self._epoch_steps = 0
        self._first = (0.0, 0, 0)
        self.moments.clear()
        self.moments.append((self._mark, self.steps))

    def execution_end(
        self,
        steps: int,
        *,
        seconds: float | None = None,
        at: float,
        stats: Callable[[], Stats],
        logs: Mapping[str, Any] | None,
    ) -> None:
        """Counts an execution. Emits the loss and the speed, at most twice a second.

        Args:
            steps: steps in the execution.
            seconds: how long it took; None for the time since the last execution ended.
            at: the `time.perf_counter` at its end.
            stats: returns further numbers to emit.
            logs: the metrics so far.
        """
        is_first = not self._compiled and self.step_times.first_s is None
        self.step_times.add(steps=steps, seconds=at - self.moments[-1][0] if seconds is None else seconds)
        self.steps += steps
        self._epoch_steps += steps
        if is_first:  # it also traced and compiled, so its speed is not emitted
            self._first = (self.step_times.first_s or 0.0, steps, None)
            self._reported = (at, self.steps)
            self.moments.clear()
        self.moments.append((at, self.steps))
        if at - self._reported[0] >= STATS_EVERY_S:
            self._emit_stats({**scalars(logs), **stats(), **self._speed(at)})
            self._reported = (at, self.steps)

    def first_examples(self, examples: int | None, *, steps: int | None = None) -> None:
        """Sets how many examples and steps the first execution of the run had, once known."""
        seconds, counted, _ = self._first
        self._first = (seconds, steps or counted, examples)

    def epoch_end(
        self, *, examples: int | None, stats: Stats, steps: int | None = None, at: float | None = None
    ) -> None:
        """Ends the training part of the epoch; does nothing if it has already ended.

        Args:
            examples: examples in the epoch; None if unknown.
            stats: means over the epoch.
            steps: steps in the epoch; None for the steps counted by `execution_end`.
            at: the `time.perf_counter` at its end; None for now.
        """
        if self._epoch is None:
            return
        at = time.perf_counter() if at is None else at
        if steps is not None:
            self.steps += steps - self._epoch_steps
            self._epoch_steps = steps
        first_s, first_steps, first_examples = self._first
        ended = Epoch(
            number=self._epoch,
            seconds=at - self._mark,
            steps=self._epoch_steps,
            examples=examples,
            first_s=first_s,
            first_steps=first_steps,
            first_examples=first_examples,
        )
        self.epochs.append(ended)
        self._emit_stats({**stats, **(self._speed(at) if self._compiled else ended.speed)})
        if self.unit == "epochs":
            self._emit("epoch_stop", metadata={"epoch_num": self._epoch})
        self._epoch = None
        self._mark = at

    def evaluation_begin(self, *, now_s: float | None = None, at: float | None = None) -> None:
        """Opens an evaluation after the end of an epoch, or before the first one."""
        self._emit("eval_start", now_s, metadata={"epoch_num": self.position})
        self._evaluating = True
        self._mark = time.perf_counter() if at is None else at

    def evaluation_end(
        self, quality: float | None, *, logs: Mapping[str, Any] | None = None, untrained: bool = False
    ) -> bool:
        """Ends the evaluation. If the quality reaches the target, stops the clock before doing anything else.

        Args:
            quality: the monitored metric; None if none is monitored.
            logs: all metrics of the evaluation, without the prefix `val_`.
            untrained: whether it came before the first step. Then the quality is `untrained_quality`, and a target is
                not reached by training.

        Returns:
            Whether the target was reached.
        """
        now, at = time.time(), time.perf_counter()
        self._evaluating = False
        self.evaluation_s += at - self._mark
        where = self._where()
        if not untrained:
            self.evaluated_at.append(self.position)
        if quality is not None:
            if untrained:
                self.untrained_quality = quality
            else:
                self.quality = quality
                self.reached = self.goal.reached_by(quality)
            if self.reached:
                self._stopped = at
            self._emit("eval_accuracy", now, value=quality, metadata=where)
        held_out = {f"val_{name}": value for name, value in scalars(logs).items()}
        if held_out:
            self._emit("tracked_stats", now, value=held_out, metadata=where)
        self._emit("eval_stop", now, metadata={"epoch_num": self.position})
        self.block_end(now)
        if self.reached:
            self._stop(now, status="success")
        self._sink.flush()
        return self.reached

    def block_end(self, now_s: float | None = None) -> None:
        """Closes the block, if one is open and its last epoch has ended."""
        if self._block is not None and self._epoch is None:
            self._emit("block_stop", now_s, metadata=self._block)
            self._block = None

    def abort(self, reason: str) -> None:
        """Ends a run that will not reach its target; does nothing while the clock is not running."""
        if not self.live:
            return
        now, at = time.time(), time.perf_counter()
        if self._epoch is not None:
            self._partial_s = at - self._mark
            if self.unit == "epochs":
                self._emit("epoch_stop", now, metadata={"epoch_num": self._epoch})
            self._epoch = None
        elif self._evaluating:
            self.evaluation_s += at - self._mark
            self._emit("eval_stop", now, metadata={"epoch_num": self.position})
        self.block_end(now)
        self._stop(now, status="aborted", reason=reason)

    def _stop(self, now_s: float, *, status: str, reason: str | None = None) -> None:
        self._stopped = self._stopped or time.perf_counter()
        self.live = False
        why = {} if reason is None else {"reason": reason}
        self._emit("run_stop", now_s, metadata={"status": status, "epoch_num": self.position, **why})
        self._sink.flush()

    def _speed(self, at: float) -> dict[str, float]:
        """The speed since it was last emitted; empty if there was no step since."""
        since, before = self._reported
        if self.steps == before:
            return {}
        step_s = (at - since) / (self.steps - before)
        rate = {} if self.batch_size is None else {"throughput": self.batch_size / step_s}
        return {**rate, "step_time_ms": step_s * 1e3}

    def _emit_stats(self, stats: Stats) -> None:
        if stats:
            self._emit("tracked_stats", value=dict(stats), metadata=self._where())

    def _where(self) -> dict[str, int]:
        return {"step": self.steps, "epoch_num": self.position}

    def _emit(self, key: str, time_s: float | None = None, *, value: Any = None, metadata: Any = None) -> None:
        self._sink.emit(Event(key=key, time_s=time_s or time.time(), value=value, metadata=metadata or {}))
