"""Shows how a measurement goes: a live line on a terminal, else a line at each phase and after 30 s without one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from tfperf.reporting import live_line, table

MEASURING = "measuring"

_MS = 1e6


class ServingStatus(Protocol):
    """The state of a run, as it arrives several times a second."""

    @property
    def phase(self) -> str:
        """What the serving process is doing, such as `measuring`."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the measurement began; 0 before that."""

    @property
    def queries(self) -> int:
        """Queries answered."""

    @property
    def least_queries(self) -> int | None:
        """Queries that LoadGen issues at least; None if unknown."""

    @property
    def samples(self) -> int:
        """Samples answered."""

    @property
    def rate(self) -> float:
        """Recent samples per second."""

    @property
    def p99_ns(self) -> float | None:
        """The 99th percentile of recent latencies; None if there are too few."""

    @property
    def fraction(self) -> float | None:
        """How much has been loaded, 0 to 1; None if nothing is being loaded."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasurementStep:
    """One of the runs that make up a measurement.

    Attributes:
        name: the name of the step, such as `performance` or `search at 120 queries/s`.
        lasts_s: seconds that it measures at least; None if unknown.
        bound_ns: the latency bound for 99 % of the queries; None if there is none.
        brief: whether it gets no line of its own when it begins.
    """

    name: str
    lasts_s: float | None = None
    bound_ns: float | None = None
    brief: bool = False


class ServingProgress:
    """Shows how the runs of a measurement go.

    On a terminal, a thread redraws one line. Elsewhere a line is written when a phase begins, and after 30 seconds
    without one.

    Args:
        stream: where to write, usually `sys.stderr`.
        min_duration_s: seconds that a step measures at least, unless `begin` says otherwise.
        bound_ns: the latency bound for 99 % of the queries in Server; None in other scenarios.
        interactive: whether the stream is a terminal, where a line can be redrawn.
        clock: a monotonic clock, in seconds.
        every_s: seconds between redraws of the live line.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        min_duration_s: float,
        bound_ns: float | None,
        interactive: bool,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = 0.5,
    ) -> None:
        self._min_duration_s, self._bound_ns = min_duration_s, bound_ns
        self._interactive, self._clock = interactive, clock
        # One value, so that the drawing thread never sees a step with the status of another.
        self._seen: tuple[MeasurementStep, ServingStatus | None, float] = (
            MeasurementStep(name="preparing"),
            None,
            clock(),
        )
        self._line = live_line.LiveLine(stream, text=self._now, interactive=interactive, every_s=every_s)

    def begin(self, name: str, *, lasts_s: float | None = None, measures: bool = True, brief: bool = False) -> None:
        """Begins a step, to which all further updates belong.

        Args:
            name: the name of the step, such as `performance`.
            lasts_s: seconds that it measures at least; None takes `min_duration_s`.
            measures: whether it has such a time and a latency bound at all. An accuracy run or a build has neither.
            brief: whether it is one of many steps, so that its beginning gets no line of its own.
        """
        lasts_s = (self._min_duration_s if lasts_s is None else lasts_s) if measures else None
        step = MeasurementStep(name=name, lasts_s=lasts_s, bound_ns=self._bound_ns if measures else None, brief=brief)
        self._seen = (step, None, self._clock())
        self._write_lasting_now()

    def update(self, status: ServingStatus) -> None:
        """Records the state of the run. Writes a line only when a phase begins and the stream is not a terminal."""
        step, last, began_s = self._seen
        self._seen = (step, status, began_s)
        if last is None or last.phase != status.phase:
            self._write_lasting_now()

    def note(self, text: str) -> None:
        """Writes a line that stays, such as the outcome of a step."""
        self._line.write_lasting(text)

    def draw(self) -> None:
        """Redraws the live line."""
        self._line.draw()

    def close(self) -> None:
        """Stops drawing and clears the live line. The stream stays open."""
        self._line.close()

    def _write_lasting_now(self) -> None:
        if not (self._interactive or self._seen[0].brief):
            self._line.write_lasting(self._now())

    def _now(self) -> str:
        step, status, began_s = self._seen
        return live_text(step, status, for_s=self._clock() - began_s)


def live_text(step: MeasurementStep, status: ServingStatus | None, *, for_s: float) -> str:
    """The state in one line. Its parts, separated by two spaces, come in order of importance.

    Args:
        step: the current step.
        status: its state; None before the first update.
        for_s: seconds since the step began.
    """
    if status is None:
        return f"{step.name}  {table.clock(for_s)}"
    if status.phase != MEASURING:
        loaded = "" if status.fraction is None else f" {status.fraction:.0%}"
        return f"{step.name}  {status.phase}{loaded}  {table.clock(for_s)}"
    return "  ".join(
        [
            step.name,
            _time(status, lasts_s=step.lasts_s),
            f"{table.number(status.rate)} samples/s",
            *_p99(status.p99_ns, bound_ns=step.bound_ns),
            f"{status.samples:,} samples",
        ]
    )


def _time(status: ServingStatus, *, lasts_s: float | None) -> str:
    if lasts_s is None:
        return table.clock(status.elapsed_s)
    left_s, least = lasts_s - status.elapsed_s, status.least_queries
    if left_s >= 0:
        left = f"{table.clock(left_s)} left"
    elif least is not None and status.queries < least:
        left = f"{status.queries:,} of {least:,} queries"
    else:
        left = "waiting for the last answers"
    return f"{table.clock(status.elapsed_s)} of {table.clock(lasts_s)}, {left}"


def _p99(p99_ns: float | None, *, bound_ns: float | None) -> list[str]:
    if p99_ns is None and bound_ns is None:
        return []
    found = table.UNKNOWN if p99_ns is None else f"{table.number(p99_ns / _MS)} ms"
    if bound_ns is None:
        return [f"p99 {found}"]
    late = ", LATE" if p99_ns is not None and p99_ns > bound_ns else ""
    return [f"p99 {found} of {table.number(bound_ns / _MS)} ms{late}"]
