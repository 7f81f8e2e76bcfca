"""Counts the late queries of a Server run during the run."""

from __future__ import annotations

import collections
import time

from tfperf.inference.recording import Recording


class Lateness:
    """Counts queries that were answered late or have waited too long already.

    Args:
        recording: the recording of the run. Rows that were overwritten before they were read count as on time.
        bound_ns: the latency up to which a query is on time.
    """

    def __init__(self, recording: Recording, *, bound_ns: int) -> None:
        self._recording, self._bound_ns = recording, bound_ns
        self._seen = self._answered_late = 0
        self._issued: collections.deque[tuple[int, int]] = collections.deque()  # when, and how many by then

    def late(self) -> int:
        """The late queries known so far; never more than there are."""
        now_ns, recording = time.perf_counter_ns(), self._recording
        completed = recording.counter("completed")
        begin = max(self._seen, completed - recording.capacity)
        (latencies,) = recording.rows(recording.queries[1:2], begin, completed)
        self._answered_late += int((latencies > self._bound_ns).sum())
        self._seen = completed
        return self._answered_late + max(0, self._issued_before_bound(now_ns) - completed)

    def _issued_before_bound(self, now_ns: int) -> int:
        """Queries issued at least one latency bound ago, as of the last call that is as old."""
        self._issued.append((now_ns, self._recording.counter("issued")))
        while len(self._issued) > 1 and self._issued[1][0] <= now_ns - self._bound_ns:
            self._issued.popleft()
        since_ns, issued = self._issued[0]
        return issued if since_ns <= now_ns - self._bound_ns else 0
