"""What a run recorded, in bounded memory: the parent reads rows before the SUT's process overwrites them.

A recording keeps the last rows. Of a run with more, the archive counts every row and keeps the highest latencies and
evenly spaced rows.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Literal

import numpy as np

from tfperf.inference.recording import ExecutionColumn, QueryColumn, Recording

Rows = np.ndarray  # int64 [columns, rows]

KEPT_ROWS = 1 << 20  # of queries, and as many of executions: 84 MB
SLOWEST = 1 << 18  # the 99th percentile of 26 million queries lies among them

_AT_ONCE = 1 << 16  # rows to read in one go, so that reading them doesn't disturb the run
_LATENCY = Recording.QUERY_COLUMNS.index("latency_ns")
_ISSUED = Recording.QUERY_COLUMNS.index("issued_ns")
_LENGTH_BITS = 32  # of a batch size and a length in one number, which sort faster
_SIZES = [Recording.EXECUTION_COLUMNS.index(name) for name in ("batch_size", "length")]


class Archive:
    """The rows of a recording, read while they are written.

    Nothing is read until a recording is half full, since rows that are never overwritten can be read at the end.

    Attributes:
        queries: the rows of queries.
        executions: the rows of executions.
        executed: (batch size, length) -> executions.
        span_ns: when the first query was issued and the last one answered; None before the first.
    """

    def __init__(self, recording: Recording, *, kept: int = KEPT_ROWS, slowest: int = SLOWEST) -> None:
        """Archives a recording: at most `kept` rows and at least half as many, and the `slowest` highest latencies."""
        self._recording, self._most = recording, slowest
        self.queries = SpacedRows(len(recording.queries), most=kept)
        self.executions = SpacedRows(len(recording.executions), most=kept)
        self._high, self._highs, self._floor = [np.zeros(0, np.int64)], 0, -1
        self.executed: collections.Counter[tuple[int, int]] = collections.Counter()
        self.span_ns: tuple[int, int] | None = None

    @property
    def lost(self) -> int:
        """Rows that were overwritten before they were read."""
        return self.queries.lost + self.executions.lost

    @property
    def slowest_ns(self) -> np.ndarray:
        """The highest latencies, ascending; all of them, if there are no more."""
        return np.sort(np.concatenate(self._high))[-self._most :]

    def read(self, *, ended: bool = False) -> None:
        """Reads new rows: a part of them while the run lasts, and all if it `ended`."""
        recording = self._recording
        while (rows := self._next(self.queries, recording.queries, "completed", ended=ended)) is not None:
            self._note_latencies(rows)
        while (rows := self._next(self.executions, recording.executions, "executions", ended=ended)) is not None:
            batch, length = rows[_SIZES]
            sizes, counts = np.unique(batch << _LENGTH_BITS | length, return_counts=True)
            for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
                self.executed[size >> _LENGTH_BITS, size % (1 << _LENGTH_BITS)] += count

    def query(self, column: QueryColumn) -> np.ndarray:
        """One column of the rows of queries that are kept, int64 [n], in the order of completion."""
        return self.queries.column(Recording.QUERY_COLUMNS.index(column))

    def execution(self, column: ExecutionColumn) -> np.ndarray:
        """One column of the rows of executions that are kept, int64 [n]."""
        return self.executions.column(Recording.EXECUTION_COLUMNS.index(column))

    def _next(
        self,
        spaced: SpacedRows,
        columns: Sequence[memoryview],
        counter: Literal["completed", "executions"],
        *,
        ended: bool,
    ) -> Rows | None:
        """The next rows of the recording; None if there are none to read now."""
        recording, capacity = self._recording, self._recording.capacity
        written = recording.counter(counter)
        behind = written - spaced.seen
        if not behind or (not ended and behind <= capacity // 2):
            return None
        spaced.skip(max(0, behind - capacity))
        begin = spaced.seen
        rows = recording.rows(columns, begin, min(written, begin + _AT_ONCE))
        # Meanwhile a running process may have overwritten the first of them, and begun to overwrite a few more.
        reached = 0 if ended else recording.counter(counter) - capacity + capacity // 8
        overwritten = min(rows.shape[1], max(0, reached - begin))
        spaced.skip(overwritten)
        return spaced.take(rows[:, overwritten:])

    def _note_latencies(self, rows: Rows) -> None:
        if not rows.shape[1]:
            return
        issued, latencies = rows[_ISSUED], rows[_LATENCY]
        begin, end = int(issued.min()), int((issued + latencies).max())
        before = self.span_ns or (begin, end)
        self.span_ns = min(before[0], begin), max(before[1], end)
        high = np.array(latencies[latencies > self._floor])
        self._high.append(high)
        self._highs += len(high)
        if self._highs > 2 * self._most:
            highest = np.partition(np.concatenate(self._high), -self._most)[-self._most :]
            self._high, self._highs, self._floor = [highest], len(highest), int(highest.min())


class SpacedRows:
    """Every n-th of the rows that come, so that no more than `most` are kept: n doubles when there are more.

    Attributes:
        every: n.
        seen: rows so far, lost ones included.
        lost: rows that were skipped.
    """

    def __init__(self, columns: int, *, most: int) -> None:
        self.every, self.seen, self.lost = 1, 0, 0
        self._most = most
        self._parts = [np.zeros((columns, 0), np.int64)]
        self._kept = 0

    def skip(self, rows: int) -> None:
        """Leaves out the next rows."""
        self.seen += rows
        self.lost += rows

    def take(self, rows: Rows) -> Rows:
        """Keeps every n-th of the next rows, and returns them all."""
        kept = np.array(rows[:, -self.seen % self.every :: self.every])
        self._parts.append(kept)
        self._kept += kept.shape[1]
        self.seen += rows.shape[1]
        while self._kept > self._most:
            (whole,) = self._parts = [np.ascontiguousarray(np.concatenate(self._parts, axis=1)[:, ::2])]
            self._kept, self.every = whole.shape[1], 2 * self.every
        return rows

    def column(self, index: int) -> np.ndarray:
        """A column of the rows that are kept."""
        return np.concatenate([part[index] for part in self._parts])
