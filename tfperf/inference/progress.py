"""The progress of a run, read from its recording during the run."""

from __future__ import annotations

import collections
import time

import numpy as np

from tfperf.inference.job import RunProgress
from tfperf.inference.recording import PHASES, Recording

_RATE_OVER_S = 1.0
_LATE_ROWS = 4096
_ROWS_FOR_P99 = 100


class ProgressReader:
    """Reads the progress of a run, and how long ago anything last changed.

    Attributes:
        idle_s: seconds, at the last `read`, since a counter changed or since a query began to wait, whichever is less.
        waiting: whether a query was unanswered at the last `read`.
        begun: whether the first query was issued by the last `read`.
    """

    def __init__(self, recording: Recording, *, percentile: bool = True) -> None:
        """Reads from a recording. `percentile` is False if latencies are meaningless, as in Offline."""
        self.idle_s = 0.0
        self.waiting = False
        self.begun = False
        self._recording = recording
        self._percentile = percentile
        self._first_ns = 0
        self._counters: tuple[int, ...] = ()
        self._changed = time.perf_counter()
        self._window: collections.deque[tuple[float, int]] = collections.deque()

    @property
    def phase(self) -> str:
        """The current phase of the run."""
        return PHASES[self._recording.counter("phase")]

    def read(self) -> RunProgress:
        """The progress now."""
        now, recording = time.perf_counter(), self._recording
        issued, completed, samples = (recording.counter(name) for name in ("issued", "completed", "samples"))
        loaded, to_load = recording.counter("loaded"), recording.counter("to_load")
        waiting = issued > completed
        phase, executions = recording.counter("phase"), recording.counter("executions")
        self._look(now, (phase, completed, samples, executions, loaded), waiting=waiting)
        self.waiting, self.begun = waiting, issued > 0
        return RunProgress(
            phase=self.phase,
            elapsed_s=self._elapsed_s(completed),
            queries=completed,
            samples=samples,
            rate=self._rate(now, samples),
            p99_ns=self._p99_ns(completed),
            fraction=loaded / to_load if to_load and self.phase == "loading samples" else None,
        )

    def _look(self, now: float, counters: tuple[int, ...], *, waiting: bool) -> None:
        if counters != self._counters or (waiting and not self.waiting):
            self._counters, self._changed = counters, now
        self.idle_s = now - self._changed

    def _elapsed_s(self, completed: int) -> float:
        """Since the first answered query was issued; all processes share the clock."""
        if not completed:
            return 0.0
        ended_ns = self._recording.counter("ended_ns") if self.phase == "ending" else 0
        if completed <= self._recording.capacity:  # then the first row is still there
            self._first_ns = self._recording.queries[0][0]
        return ((ended_ns or time.perf_counter_ns()) - (self._first_ns or self._recording.counter("started_ns"))) / 1e9

    def _rate(self, now: float, samples: int) -> float:
        self._window.append((now, samples))
        while len(self._window) > 2 and now - self._window[1][0] >= _RATE_OVER_S:
            self._window.popleft()
        since, before = self._window[0]
        return (samples - before) / (now - since) if now > since else 0.0

    def _p99_ns(self, completed: int) -> float | None:
        """The 99th percentile of the last rows; None if there are too few."""
        if not self._percentile or completed < _ROWS_FOR_P99:
            return None
        rows = min(completed, self._recording.capacity, _LATE_ROWS)
        (latencies,) = self._recording.rows(self._recording.queries[1:2], completed - rows, completed)
        return float(np.percentile(latencies, 99))
