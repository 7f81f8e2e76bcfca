"""Writes how far a measurement has come into its events, so that others can watch it."""

from __future__ import annotations

import time
from collections.abc import Callable

from tfperf.events import Event, Sink
from tfperf.inference.job import RunProgress

KEY = "serving_progress"
EVERY_S = 5.0
_MEASURING = "measuring"


class LiveEvents:
    """Emits the progress of one run of LoadGen, at most every five seconds.

    Args:
        sink: receives the events.
        step: the name of the run, such as `performance`.
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, sink: Sink, *, step: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._sink, self._step, self._clock = sink, step, clock
        self._emitted_s = clock()

    def update(self, progress: RunProgress) -> None:
        """Emits the progress while it measures, unless that was done lately."""
        now_s = self._clock()
        if progress.phase != _MEASURING or now_s - self._emitted_s < EVERY_S:
            return
        self._emitted_s = now_s
        numbers = {"elapsed_s": progress.elapsed_s, "queries": progress.queries, "samples": progress.samples}
        latency = {} if progress.p99_ns is None else {"p99_ns": progress.p99_ns}
        self._sink.emit(
            Event(key=KEY, value={**numbers, "rate": progress.rate, **latency}, metadata={"step": self._step})
        )
