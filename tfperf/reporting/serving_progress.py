"""Serving as it goes, for the person who waits: a live line on a terminal, else a line now and then."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from tfperf.reporting import live_line, table

MEASURING = "measuring"

_MS = 1e6


class Beat(Protocol):
    """The state of a run, as it comes several times a second."""

    @property
    def phase(self) -> str:
        """What the serving process is doing, such as `measuring`."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the measurement began; 0 before."""

    @property
    def samples(self) -> int:
        """Samples answered."""

    @property
    def rate(self) -> float:
        """Samples a second, lately."""

    @property
    def p99_ns(self) -> float | None:
        """The 99th percentile of the latency, lately; None with too few."""

    @property
    def fraction(self) -> float | None:
        """Of what is being loaded, 0 to 1; None where nothing is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One of the runs that a measurement is made of.

    Attributes:
        name: such as `performance` or `probe at 120 samples/s`.
        lasts_s: the least time that it measures; None where that is not known.
        bound_ns: that 99 % of the latencies must keep within; None where there is no such bound.
        brief: whether only the live line tells of it.
    """

    name: str
    lasts_s: float | None = None
    bound_ns: float | None = None
    brief: bool = False


class ServingProgress:
    """Shows how the runs of a measurement go.

    On a terminal one line is drawn over and over by a thread of its own. Elsewhere a line is written when a phase
    begins and once a minute while it lasts.

    Args:
        stream: where to write, usually `sys.stderr`.
        min_duration_s: the least time that a step measures, unless `begin` says otherwise.
        bound_ns: that 99 % of the latencies must keep within, in Server; None elsewhere.
        interactive: whether the stream is a terminal, on which a line can be written over.
        clock: seconds, of any clock that runs evenly.
        every_s: seconds between two drawings of the live line.
        every_lasting_s: seconds between two lines where the stream is no terminal.
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
        every_lasting_s: float = 60.0,
    ) -> None:
        self._min_duration_s, self._bound_ns = min_duration_s, bound_ns
        self._interactive, self._clock, self._every_lasting_s = interactive, clock, every_lasting_s
        self._lasting_s = clock()
        # One value, so that the drawing thread never sees a step with the beat of another.
        self._seen: tuple[Step, Beat | None, float] = (Step(name="preparing"), None, self._lasting_s)
        self._line = live_line.LiveLine(stream, text=self._now, interactive=interactive, every_s=every_s)

    def begin(self, name: str, *, lasts_s: float | None = None, measures: bool = True, brief: bool = False) -> None:
        """A step begins; what beats say from now on is of it.

        Args:
            name: such as `performance`.
            lasts_s: the least time that it measures; None takes `min_duration_s`.
            measures: whether it has such a time and a latency bound at all, as an accuracy run or a build has not.
            brief: whether it is one of many, of which only the live line tells.
        """
        lasts_s = (self._min_duration_s if lasts_s is None else lasts_s) if measures else None
        step = Step(name=name, lasts_s=lasts_s, bound_ns=self._bound_ns if measures else None, brief=brief)
        self._seen = (step, None, self._clock())
        self._write_lasting_now()

    def beat(self, beat: Beat) -> None:
        """Notes the state of the run; writes only where the stream is no terminal, and seldom."""
        step, last, began_s = self._seen
        self._seen = (step, beat, began_s)
        new_phase = last is None or last.phase != beat.phase
        if new_phase or self._clock() - self._lasting_s >= self._every_lasting_s:
            self._write_lasting_now()

    def note(self, text: str) -> None:
        """Writes a line that stays, such as the outcome of a step."""
        self._line.write_lasting(text)

    def draw(self) -> None:
        """Writes the live line over the last one."""
        self._line.draw()

    def close(self) -> None:
        """Stops drawing and clears the live line. The stream stays open."""
        self._line.close()

    def _write_lasting_now(self) -> None:
        if not (self._interactive or self._seen[0].brief):
            self._lasting_s = self._clock()
            self._line.write_lasting(self._now())

    def _now(self) -> str:
        step, beat, began_s = self._seen
        return live_text(step, beat, for_s=self._clock() - began_s)


def live_text(step: Step, beat: Beat | None, *, for_s: float) -> str:
    """What goes on, in one line; its parts, two blanks apart, come in the order of their use to a reader.

    Args:
        step: the run that goes on.
        beat: its state; None before the first one.
        for_s: seconds since the step began.
    """
    if beat is None:
        return f"{step.name}  {table.clock(for_s)}"
    if beat.phase != MEASURING:
        loaded = "" if beat.fraction is None else f" {beat.fraction:.0%}"
        return f"{step.name}  {beat.phase}{loaded}  {table.clock(for_s)}"
    return "  ".join(
        [
            step.name,
            _time(beat.elapsed_s, lasts_s=step.lasts_s),
            f"{table.number(beat.rate)} samples/s",
            *_p99(beat.p99_ns, bound_ns=step.bound_ns),
            f"{beat.samples:,} samples",
        ]
    )


def _time(elapsed_s: float, *, lasts_s: float | None) -> str:
    if lasts_s is None:
        return table.clock(elapsed_s)
    left_s = lasts_s - elapsed_s
    # LoadGen goes on for as long as it needs queries, and waits for the last answers.
    left = f"{table.clock(left_s)} left" if left_s >= 0 else "until queries suffice"
    return f"{table.clock(elapsed_s)} of {table.clock(lasts_s)}, {left}"


def _p99(p99_ns: float | None, *, bound_ns: float | None) -> list[str]:
    if p99_ns is None and bound_ns is None:
        return []
    found = table.UNKNOWN if p99_ns is None else f"{table.number(p99_ns / _MS)} ms"
    if bound_ns is None:
        return [f"p99 {found}"]
    late = ", LATE" if p99_ns is not None and p99_ns > bound_ns else ""
    return [f"p99 {found} of {table.number(bound_ns / _MS)} ms{late}"]
