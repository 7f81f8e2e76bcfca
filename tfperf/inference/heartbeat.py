"""The state of a run, read from its recording while the run goes on."""

from __future__ import annotations

import collections
import time

import numpy as np

from tfperf.inference.job import Beat
from tfperf.inference.recording import PHASES, Recording

_RATE_OVER_S = 1.0
_LATE_ROWS = 4096
_ROWS_FOR_P99 = 100


class Heartbeat:
    """Makes beats of a recording, and knows how long nothing has moved.

    Attributes:
        idle_s: seconds since a counter was last seen to change, or since a query was first seen to wait, whichever is
            less, as of the last beat.
        waiting: whether a query was issued and not answered, as of the last beat.
        begun: whether the first query was issued, as of the last beat.
    """

    def __init__(self, recording: Recording, *, percentile: bool = True) -> None:
        """Looks at a recording; `percentile` is False where latencies mean nothing, as in Offline."""
        self.idle_s = 0.0
        self.waiting = False
        self.begun = False
        self._recording = recording
        self._percentile = percentile
        self._counters: tuple[int, ...] = ()
        self._changed = time.perf_counter()
        self._window: collections.deque[tuple[float, int]] = collections.deque()

    @property
    def phase(self) -> str:
        """What the run is doing now."""
        return PHASES[self._recording.counter("phase")]

    def beat(self) -> Beat:
        """Looks at the recording."""
        now, recording = time.perf_counter(), self._recording
        issued, completed, samples = (recording.counter(name) for name in ("issued", "completed", "samples"))
        loaded, to_load = recording.counter("loaded"), recording.counter("to_load")
        waiting = issued > completed
        phase, executions = recording.counter("phase"), recording.counter("executions")
        self._look(now, (phase, completed, samples, executions, loaded), waiting=waiting)
        self.waiting, self.begun = waiting, issued > 0
        return Beat(
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
        """Since the first query that was answered was issued; the clock is the same in all processes."""
        if not completed:
            return 0.0
        ended_ns = self._recording.counter("ended_ns") if self.phase == "ending" else 0
        return ((ended_ns or time.perf_counter_ns()) - self._recording.queries[0][0]) / 1e9

    def _rate(self, now: float, samples: int) -> float:
        self._window.append((now, samples))
        while len(self._window) > 2 and now - self._window[1][0] >= _RATE_OVER_S:
            self._window.popleft()
        since, before = self._window[0]
        return (samples - before) / (now - since) if now > since else 0.0

    def _p99_ns(self, completed: int) -> float | None:
        """Of the last rows; None with too few, and when the last ones were not kept."""
        if not self._percentile or not _ROWS_FOR_P99 <= completed <= self._recording.capacity:
            return None
        latencies = self._recording.queries[1][max(0, completed - _LATE_ROWS) : completed]
        return float(np.percentile(np.array(latencies, np.int64), 99))
