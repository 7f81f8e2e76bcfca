"""Shows how a training run goes: a live line on a terminal, else a line per evaluation and after 30 s without one."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from tfperf import events
from tfperf.reporting import live_line, table

EVALUATIONS_TO_ESTIMATE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingGoal:
    """The goal of the run: `metric` at `target` within `max_epochs` or `max_steps`, one of which is given."""

    metric: str
    target: float
    max_epochs: int | None = None
    max_steps: int | None = None

    def __post_init__(self) -> None:
        if (self.max_epochs is None) == (self.max_steps is None):
            raise ValueError(f"One of max_epochs and max_steps is needed, got {self.max_epochs} and {self.max_steps}.")

    @property
    def end(self) -> int:
        """The last epoch or step."""
        return self.max_epochs or self.max_steps or 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatedQuality:
    """The quality that one evaluation found, with its time on the clock, its epoch and its step."""

    on_clock_s: float
    quality: float
    epoch: int = 0
    step: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """What the events of a run have reported so far.

    Attributes:
        phase: starting, preparing, training, evaluating or stopped.
        init_start_s: time stamp of `init_start`, in seconds since the Unix epoch.
        run_start_s: time stamp of `run_start`; None before the clock runs.
        run_stop_s: time stamp of `run_stop`.
        status: how the run stopped: success or aborted.
        epoch: the current epoch, counted from 1. It is not shown if the run ends after a number of steps.
        step: optimizer steps so far, as last reported.
        stats: the latest training statistics.
        evaluations: every evaluation, oldest first.
    """

    phase: str = "starting"
    init_start_s: float | None = None
    run_start_s: float | None = None
    run_stop_s: float | None = None
    status: str | None = None
    epoch: int = 0
    step: int = 0
    stats: Mapping[str, float] = dataclasses.field(default_factory=dict)
    evaluations: tuple[EvaluatedQuality, ...] = ()


class Progress:
    """A sink that shows how the run goes.

    On a terminal, a separate thread redraws one line a few times a second, so that neither a slow terminal nor a burst
    of events slows training, and the clock on the line keeps running. Elsewhere one line is written at each evaluation,
    and after 30 seconds without one. The outcome gets its own line in both cases.

    Args:
        stream: where to write, usually `sys.stderr`.
        metric: the name of the quality metric.
        target: the value that it must reach.
        max_epochs: the epoch after which the run is aborted; None if it ends after `max_steps`.
        max_steps: the step after which the run is aborted; None if it ends after `max_epochs`.
        interactive: whether the stream is a terminal, where a line can be redrawn.
        clock: the clock that stamps the events, in seconds since the Unix epoch.
        every_s: seconds between redraws of the live line.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        metric: str,
        target: float,
        interactive: bool,
        max_epochs: int | None = None,
        max_steps: int | None = None,
        clock: Callable[[], float] = time.time,
        every_s: float = 0.5,
    ) -> None:
        self._goal = TrainingGoal(metric=metric, target=target, max_epochs=max_epochs, max_steps=max_steps)
        self._interactive = interactive
        self._clock = clock
        self._state = State()
        self._line = live_line.LiveLine(stream, text=self._now, interactive=interactive, every_s=every_s)

    def emit(self, event: events.Event) -> None:
        """Records what happened. Writes only the lines that stay on the screen."""
        self._state = after(self._state, event)
        text = lasting_line(self._state, event, goal=self._goal, interactive=self._interactive)
        if text is not None:
            self._line.write_lasting(text)

    def draw(self) -> None:
        """Redraws the live line."""
        self._line.draw()

    def flush(self) -> None:
        """Does nothing: each line is flushed as it is written, and a stuck terminal must not hold up training."""

    def close(self) -> None:
        """Stops drawing and clears the live line. The stream stays open."""
        self._line.close()

    def _now(self) -> str:
        return live_text(self._state, goal=self._goal, now_s=self._clock())


def after(state: State, event: events.Event) -> State:
    """The state once `event` has happened."""
    match event.key:
        case "init_start":
            return dataclasses.replace(state, phase="preparing", init_start_s=event.time_s)
        case "run_start":
            return dataclasses.replace(state, phase="training", run_start_s=event.time_s)
        case "epoch_start":
            return dataclasses.replace(state, phase="training", epoch=event.metadata["epoch_num"])
        case "eval_start":
            return dataclasses.replace(state, phase="evaluating")
        case "eval_stop":
            return dataclasses.replace(state, phase="training")
        case "tracked_stats":
            step = event.metadata.get("step", state.step)
            return dataclasses.replace(state, step=step, stats={**state.stats, **event.value})
        case "eval_accuracy":
            found = _evaluation(state, event)
            return dataclasses.replace(state, step=found.step, evaluations=(*state.evaluations, found))
        case "run_stop":
            status = event.metadata.get("status")
            return dataclasses.replace(state, phase="stopped", run_stop_s=event.time_s, status=status)
    return state


def live_text(state: State, *, goal: TrainingGoal, now_s: float) -> str:
    """The state in one line. Its parts, separated by two spaces, come in order of importance."""
    if state.phase in ("starting", "preparing"):
        since = "" if state.init_start_s is None else f" {table.clock(now_s - state.init_start_s)}"
        return f"preparing{since}, the clock is not running yet"
    if state.phase == "stopped":
        return "the clock has stopped, writing the result"
    doing = ", evaluating" if state.phase == "evaluating" else ""
    spent = f"{table.clock(_on_clock_s(state, now_s))} on the clock"
    return "  ".join(
        [
            f"{_position(state, goal=goal)}/{goal.end:,}{doing}",
            _quality(state, goal=goal),
            f"{spent}, {_to_target(state, goal=goal, now_s=now_s)} to target",
            *_training_stats(state.stats),
        ]
    )


def lasting_line(state: State, event: events.Event, *, goal: TrainingGoal, interactive: bool) -> str | None:
    """The line that stays on the screen after `event`, which led to `state`; None for most events."""
    if event.key == "run_stop":
        return _outcome(state, goal=goal)
    if interactive:
        return None
    if event.key == "init_start":
        return "preparing, the clock is not running yet"
    if event.key == "eval_accuracy":
        return live_text(dataclasses.replace(state, phase="training"), goal=goal, now_s=event.time_s)
    return None


def time_to_target_s(evaluations: tuple[EvaluatedQuality, ...], *, goal: TrainingGoal) -> float | None:
    """The time on the clock at which the target will be reached, or None if it is unknown.

    Assumes that quality rises with the logarithm of time, as fast as over the last three evaluations. Learning slows
    down, so a straight line would promise too much: on the 42 published ResNet-50 logs of MLPerf v0.7 and v1.0 this
    rule gives, in the median, 0.6 of the time that was really left, and a straight line 0.4. It is a rough guess.

    The time is unknown before the third evaluation, while quality does not rise, or if the target would be reached only
    after the end of the run.
    """
    # Without the evaluation before the first step.
    trained = [each for each in evaluations if each.on_clock_s > 0 and (each.step or each.epoch)]
    recent = trained[-EVALUATIONS_TO_ESTIMATE:]
    if len(recent) < EVALUATIONS_TO_ESTIMATE:
        return None
    rise = _slope([math.log(evaluation.on_clock_s) for evaluation in recent], [each.quality for each in recent])
    if not rise > 0:
        return None
    last = recent[-1]
    doublings = (goal.target - last.quality) / rise / math.log(2)
    position = last.step if goal.max_epochs is None else last.epoch
    ends_s = last.on_clock_s * goal.end / max(position, 1)
    if doublings > math.log2(max(ends_s / last.on_clock_s, 1)):
        return None
    return last.on_clock_s * 2 ** max(doublings, 0)


def _slope(xs: list[float], ys: list[float]) -> float:
    """The slope of the least-squares line; NaN if there is none."""
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread if spread else math.nan


def _evaluation(state: State, event: events.Event) -> EvaluatedQuality:
    return EvaluatedQuality(
        on_clock_s=_on_clock_s(state, event.time_s),
        quality=event.value,
        epoch=event.metadata.get("epoch_num", state.epoch),
        step=event.metadata.get("step", state.step),
    )


def _position(state: State, *, goal: TrainingGoal) -> str:
    return f"step {state.step:,}" if goal.max_epochs is None else f"epoch {state.epoch}"


def _on_clock_s(state: State, now_s: float) -> float:
    if state.run_start_s is None:
        return 0.0
    return (now_s if state.run_stop_s is None else state.run_stop_s) - state.run_start_s


def _training_stats(stats: Mapping[str, Any]) -> list[str]:
    rate, loss = stats.get("throughput"), stats.get("loss")
    return [
        f"loss {table.UNKNOWN if loss is None else format(loss, '.4f')}",
        f"{table.UNKNOWN if rate is None else table.number(rate)} examples/s",
    ]


def _quality(state: State, *, goal: TrainingGoal) -> str:
    found = state.evaluations[-1].quality if state.evaluations else None
    text = table.UNKNOWN if found is None else table.decimals(found, beside=goal.target)
    return f"{goal.metric} {text} of {goal.target:.4f}"


def _to_target(state: State, *, goal: TrainingGoal, now_s: float) -> str:
    expected_s = time_to_target_s(state.evaluations, goal=goal)
    left_s = None if expected_s is None else expected_s - _on_clock_s(state, now_s)
    # Later than expected does not mean "0:00 to go": the time is unknown until the next evaluation.
    return table.UNKNOWN if left_s is None or left_s < 0 else f"about {table.clock(left_s)}"


def _outcome(state: State, *, goal: TrainingGoal) -> str:
    word = "target reached" if state.status == "success" else "aborted"
    on_clock_s = 0.0 if state.run_stop_s is None else _on_clock_s(state, state.run_stop_s)
    return f"{word}: {_quality(state, goal=goal)}  {_position(state, goal=goal)}  {on_clock_s:,.2f} s on the clock"
