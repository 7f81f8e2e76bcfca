"""The clock of training that somebody else's loop does: told what happens, it emits the events of a run."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Mapping
from typing import Any

from tfperf.events import Event, Sink
from tfperf.training.goal import Goal
from tfperf.training.pace import Epoch, StepTimes

STATS_EVERY_S = 0.5
_MOMENTS = 128

Stats = Mapping[str, float]


def scalars(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """What is a number in Keras's logs; metrics of many values are left out."""
    return {name: float(value) for name, value in (logs or {}).items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "shape", None) == ()


class Meter:
    """Events of a training run that is not tfperf's own, and its clock.

    Nothing is taken for granted of the loop: its steps, epochs, evaluations and their order are as it tells them.

    Args:
        sink: receives the events.
        goal: what the run is to reach.

    Attributes:
        goal: what the run is to reach; its direction may become known while it runs.
        quality: the monitored metric at the last evaluation; None before the first.
        reached: whether it reached the target.
        epochs: the epochs that ended.
        steps: steps in all.
        step_times: of the executions.
        evaluation_s: seconds on the clock spent in evaluation.
        live: whether the clock runs.
        batch_size: examples in a step, once that is known; None until then.
        moments: (seconds, steps so far) at the ends of the last executions of the epoch.
    """

    def __init__(self, sink: Sink, *, goal: Goal) -> None:
        self.goal = goal
        self.quality: float | None = None
        self.reached = False
        self.epochs: list[Epoch] = []
        self.steps = 0
        self.step_times = StepTimes()
        self.evaluation_s = 0.0
        self.live = False
        self.batch_size: int | None = None
        self.moments: collections.deque[tuple[float, int]] = collections.deque(maxlen=_MOMENTS)
        self._sink = sink
        self._started = self._stopped = self._mark = 0.0
        self._epoch: int | None = None
        self._evaluating = False
        self._block: dict[str, int] | None = None
        self._epoch_steps = 0
        self._first: tuple[float, int, int | None] = (0.0, 0, 0)
        self._partial_s = 0.0
        self._said = (0.0, 0)

    @property
    def run_s(self) -> float:
        """Seconds on the clock: so far, or in all once it stopped."""
        if not self._started:
            return 0.0
        return (self._stopped or time.perf_counter()) - self._started

    @property
    def training_s(self) -> float:
        """Seconds on the clock spent in training, with those of an epoch that was cut off."""
        return sum(epoch.seconds for epoch in self.epochs) + self._partial_s

    @property
    def epoch_num(self) -> int:
        """The number of the epoch that runs or, between two, of the last one; 0 before the first."""
        return self._epoch or (self.epochs[-1].number if self.epochs else 0)

    def start(self) -> None:
        """Starts the clock."""
        self._sink.flush()  # before the clock starts: it waits for the disk
        now, self._started = time.time(), time.perf_counter()
        self.live = True
        self._emit("init_stop", now)
        self._emit("run_start", now)

    def say(self, values: Mapping[str, Any]) -> None:
        """Logs hyper-parameters, each under its key."""
        for key, value in values.items():
            self._emit(key, value=value)

    def epoch_begin(self, number: int, *, now_s: float | None = None, at: float | None = None) -> None:
        """Opens epoch `number`, from 1, now or at an earlier moment.

        Args:
            number: of the epoch.
            now_s: the moment's stamp, of `time.time`.
            at: the moment, of `time.perf_counter`.
        """
        # Between which epochs evaluations lie is not known beforehand, so each epoch is a block.
        self._block = {"first_epoch_num": number, "epoch_count": 1}
        self._epoch = number
        self._emit("block_start", now_s, metadata=self._block)
        self._emit("epoch_start", now_s, metadata={"epoch_num": number})
        self._mark = time.perf_counter() if at is None else at
        self._said = (self._mark, self.steps)
        self._epoch_steps = 0
        self._first = (0.0, 0, 0)
        self.moments.clear()
        self.moments.append((self._mark, self.steps))

    def execution_end(
        self, steps: int, *, seconds: float, at: float, stats: Callable[[], Stats], logs: Mapping[str, Any] | None
    ) -> None:
        """Counts an execution; twice a second it tells the loss and the speed.

        Args:
            steps: of the execution.
            seconds: that it took.
            at: when it ended, of `time.perf_counter`.
            stats: called for what else is to be told.
            logs: the metrics so far.
        """
        is_first = self.step_times.first_s is None
        self.step_times.add(steps=steps, seconds=seconds)
        self.steps += steps
        self._epoch_steps += steps
        if is_first:  # it traced and compiled: no speed is told of it
            self._first = (seconds, steps, None)
            self._said = (at, self.steps)
            self.moments.clear()
        self.moments.append((at, self.steps))
        if at - self._said[0] >= STATS_EVERY_S:
            self._tell({**scalars(logs), **stats(), **self._speed(at)})
            self._said = (at, self.steps)

    def first_examples(self, examples: int | None, *, steps: int | None = None) -> None:
        """Says what the first execution of the run held, once that is known."""
        seconds, told, _ = self._first
        self._first = (seconds, steps or told, examples)

    def epoch_end(
        self, *, examples: int | None, stats: Stats, steps: int | None = None, at: float | None = None
    ) -> None:
        """Ends the training part of the epoch.

        Args:
            examples: in the epoch; None when unknown.
            stats: means over the epoch.
            steps: in the epoch, where that is known better than by counting.
            at: when it ended; None for now.
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
        speed = {} if ended.steady_step_s is None else {"step_time_ms": ended.steady_step_s * 1e3}
        if (
            examples is not None
            and first_examples is not None
            and ended.seconds > first_s
            and examples > first_examples
        ):
            speed["throughput"] = (examples - first_examples) / (ended.seconds - first_s)
        self._tell({**stats, **speed})
        self._emit("epoch_stop", metadata={"epoch_num": self._epoch})
        self._epoch = None
        self._mark = at

    def evaluation_begin(self, *, now_s: float | None = None, at: float | None = None) -> None:
        """Opens an evaluation, which follows the end of an epoch."""
        self._emit("eval_start", now_s, metadata={"epoch_num": self.epoch_num})
        self._evaluating = True
        self._mark = time.perf_counter() if at is None else at

    def evaluation_end(self, quality: float | None, *, logs: Mapping[str, Any] | None = None) -> bool:
        """Takes the quality; stops the clock, before anything else happens, when it reaches the target.

        Args:
            quality: the monitored metric; None when none is monitored.
            logs: all metrics of the evaluation, without `val_`.

        Returns:
            Whether the target is reached.
        """
        now, at = time.time(), time.perf_counter()
        self._evaluating = False
        self.evaluation_s += at - self._mark
        place = self._place()
        if quality is not None:
            self.quality = quality
            self.reached = self.goal.reached_by(quality)
            if self.reached:
                self._stopped = at
            self._emit("eval_accuracy", now, value=quality, metadata=place)
        held_out = {f"val_{name}": value for name, value in scalars(logs).items()}
        if held_out:
            self._emit("tracked_stats", now, value=held_out, metadata=place)
        self._emit("eval_stop", now, metadata={"epoch_num": self.epoch_num})
        self.block_end(now)
        if self.reached:
            self._stop(now, status="success")
        self._sink.flush()
        return self.reached

    def block_end(self, now_s: float | None = None) -> None:
        """Closes the block of the last epoch, if it is open."""
        if self._block is not None and self._epoch is None:
            self._emit("block_stop", now_s, metadata=self._block)
            self._block = None

    def abort(self, reason: str) -> None:
        """Ends a run that is not going to reach its target; does nothing while the clock is not running."""
        if not self.live:
            return
        now, at = time.time(), time.perf_counter()
        if self._epoch is not None:
            self._partial_s = at - self._mark
            self._emit("epoch_stop", now, metadata={"epoch_num": self._epoch})
            self._epoch = None
        elif self._evaluating:
            self.evaluation_s += at - self._mark
            self._emit("eval_stop", now, metadata={"epoch_num": self.epoch_num})
        self.block_end(now)
        self._stop(now, status="aborted", reason=reason)

    def _stop(self, now_s: float, *, status: str, reason: str | None = None) -> None:
        self._stopped = self._stopped or time.perf_counter()
        self.live = False
        why = {} if reason is None else {"reason": reason}
        self._emit("run_stop", now_s, metadata={"status": status, "epoch_num": self.epoch_num, **why})
        self._sink.flush()

    def _speed(self, at: float) -> dict[str, float]:
        since, before = self._said
        step_s = (at - since) / (self.steps - before)
        rate = {} if self.batch_size is None else {"throughput": self.batch_size / step_s}
        return {**rate, "step_time_ms": step_s * 1e3}

    def _tell(self, stats: Stats) -> None:
        if stats:
            self._emit("tracked_stats", value=dict(stats), metadata=self._place())

    def _place(self) -> dict[str, int]:
        return {"step": self.steps, "epoch_num": self.epoch_num}

    def _emit(self, key: str, time_s: float | None = None, *, value: Any = None, metadata: Any = None) -> None:
        self._sink.emit(Event(key=key, time_s=time_s or time.time(), value=value, metadata=metadata or {}))
