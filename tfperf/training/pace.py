"""How fast the steps of a run were, and whether that changed."""

from __future__ import annotations

import array
import dataclasses
import statistics
from collections.abc import Sequence

_WIDELY = 1.2
# A percentile needs a sample beyond it.
_SAMPLES_FOR = {50: 1, 90: 10, 99: 100}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epoch:
    """The training part of one epoch.

    Attributes:
        number: the number of the epoch, from 1.
        seconds: seconds from its beginning to its end, without evaluation.
        steps: training steps.
        examples: training examples; None if unknown.
        first_s: seconds of the run's first execution, if that is in this epoch and also traced and compiled; else 0.
        first_steps: steps in that execution.
        first_examples: examples in that execution; None if unknown.
    """

    number: int
    seconds: float
    steps: int
    examples: int | None
    first_s: float = 0.0
    first_steps: int = 0
    first_examples: int | None = 0

    @property
    def steady_step_s(self) -> float | None:
        """Seconds per step without the first execution; None if there was no other."""
        steps = self.steps - self.first_steps
        return (self.seconds - self.first_s) / steps if steps > 0 else None

    @property
    def speed(self) -> dict[str, float]:
        """Step time and throughput without the first execution, by their names in the log; without what is unknown."""
        found = {} if self.steady_step_s is None else {"step_time_ms": self.steady_step_s * 1e3}
        if self.examples is None or self.first_examples is None:
            return found
        examples, seconds = self.examples - self.first_examples, self.seconds - self.first_s
        return {**found, "throughput": examples / seconds} if examples > 0 and seconds > 0 else found


class StepTimes:
    """The step times of all executions but the first one of the run.

    Attributes:
        first_s: seconds of the first execution; None before it.
        first_steps: steps in that execution.
    """

    def __init__(self) -> None:
        self.first_s: float | None = None
        self.first_steps = 0
        self._step_s = array.array("d")
        self._steps = array.array("l")

    def add(self, *, steps: int, seconds: float) -> None:
        """Adds an execution. This takes 1 us."""
        if self.first_s is None:
            self.first_s, self.first_steps = seconds, steps
        else:
            self._step_s.append(seconds / steps)
            self._steps.append(steps)

    def drop_last(self) -> None:
        """Removes the last execution, whose steps differed from the rest; never the first one."""
        if self._step_s:
            self._step_s.pop()
            self._steps.pop()

    @property
    def most_steps(self) -> int:
        """Steps of the longest execution."""
        return max(self._steps, default=self.first_steps)

    def percentiles_ms(self) -> dict[int, float]:
        """Milliseconds per step by percentile, without percentiles for which there are too few executions."""
        ordered = sorted(self._step_s)
        enough = [percent for percent, least in _SAMPLES_FOR.items() if len(ordered) >= least]
        return {percent: ordered[-(-len(ordered) * percent // 100) - 1] * 1e3 for percent in enough}


def examples_per_s(epochs: Sequence[Epoch]) -> float | None:
    """Training examples per second without the first execution; None if examples are unknown or there is no other."""
    known = [epoch for epoch in epochs if epoch.examples is not None and epoch.first_examples is not None]
    seconds = sum(epoch.seconds - epoch.first_s for epoch in known)
    examples = sum((epoch.examples or 0) - (epoch.first_examples or 0) for epoch in known)
    return examples / seconds if len(known) == len(epochs) and examples > 0 and seconds > 0 else None


def slowest_to_fastest(epochs: Sequence[Epoch]) -> float | None:
    """The step time of the slowest epoch over that of the fastest; None for fewer than two epochs."""
    step_s = [epoch.steady_step_s for epoch in epochs if epoch.steady_step_s]
    return max(step_s) / min(step_s) if len(step_s) > 1 else None


def variation(epochs: Sequence[Epoch]) -> str | None:
    """A sentence on epochs of very different speed; None if their speeds were similar."""
    spread = slowest_to_fastest(epochs)
    if spread is None or spread < _WIDELY:
        return None
    timed = sorted((epoch.steady_step_s or 0.0, epoch.number) for epoch in epochs if epoch.steady_step_s)
    (fast_s, fast), (slow_s, slow) = timed[0], timed[-1]
    middle = statistics.median(step_s for step_s, _ in timed)
    return (
        f"Speed varied widely between epochs: a step took {slow_s * 1e3:.3g} ms in epoch {slow}, {fast_s * 1e3:.3g} ms "
        f"in epoch {fast} and {middle * 1e3:.3g} ms in the median epoch."
    )
