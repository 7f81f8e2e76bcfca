"""The SUT's recording of a run, in memory shared with the parent process.

The SUT writes it without system calls, locks or allocations. The parent can read it during the run, and after the
SUT's process was killed.
"""

from __future__ import annotations

import mmap
import pathlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

QueryColumn = Literal["issued_ns", "latency_ns", "queue_ns"]
ExecutionColumn = Literal["started_ns", "staging_ns", "compute_ns", "samples", "samples_length", "batch_size", "length"]
Header = Literal[
    "phase", "started_ns", "ended_ns", "issued", "completed", "samples", "executions", "loaded", "to_load", "failed"
]
PHASES = ("opening", "loading samples", "warming up", "measuring", "ending")

_HEADER: tuple[Header, ...] = (
    "phase",
    "started_ns",
    "ended_ns",
    "issued",
    "completed",
    "samples",
    "executions",
    "loaded",
    "to_load",
    "failed",
)
_HEADER_WORDS = 64
_WORD_BYTES = 8


class Recording:
    """Counters, and one row for each query and for each execution of the model, in a mapped file.

    Stamps are `time.perf_counter_ns` in the SUT's process. Row number `n` lies at `n % capacity`, so the last rows are
    kept: see `archive` for the others.
    Attributes whose names end in `_word` are positions in `head`.

    Attributes:
        head: counters; write one as `recording.head[recording.completed_word] = n`.
        queries: issued_ns, latency_ns (from issue to the end of the completion call) and queue_ns (from issue to the
            start of the execution), each a memoryview of int64.
        executions: started_ns, staging_ns, compute_ns, samples (real ones, without padding), samples_length (the sum of
            their own lengths), and the bucket that was executed: batch_size and length, padding included.
            Both lengths are 0 if samples have none.
    """

    QUERY_COLUMNS: tuple[QueryColumn, ...] = ("issued_ns", "latency_ns", "queue_ns")
    EXECUTION_COLUMNS: tuple[ExecutionColumn, ...] = (
        "started_ns",
        "staging_ns",
        "compute_ns",
        "samples",
        "samples_length",
        "batch_size",
        "length",
    )
    ROW_BYTES = _WORD_BYTES * (len(QUERY_COLUMNS) + len(EXECUTION_COLUMNS))
    phase_word, started_word, ended_word, issued_word, completed_word = range(5)
    samples_word, executions_word, loaded_word, to_load_word, failed_word = range(5, 10)

    def __init__(self, path: pathlib.Path, *, capacity: int) -> None:
        """Maps `path`, a file that `create` made with this capacity."""
        self.path, self.capacity = path, capacity
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        words = memoryview(self._map).cast("q")
        self.head = words[:_HEADER_WORDS]
        columns = [
            words[_HEADER_WORDS + index * capacity : _HEADER_WORDS + (index + 1) * capacity]
            for index in range(len(self.QUERY_COLUMNS) + len(self.EXECUTION_COLUMNS))
        ]
        self.queries = tuple(columns[: len(self.QUERY_COLUMNS)])
        self.executions = tuple(columns[len(self.QUERY_COLUMNS) :])

    @classmethod
    def create(cls, path: pathlib.Path, *, capacity: int) -> Recording:
        """Creates the file, full of zeros; pages that are never written take no memory.

        Args:
            path: the file, preferably in an in-memory file system such as /dev/shm.
            capacity: the last rows of queries, and of executions, that it keeps.
        """
        with path.open("wb") as file:
            file.truncate(_WORD_BYTES * _HEADER_WORDS + cls.ROW_BYTES * capacity)
        return cls(path, capacity=capacity)

    def counter(self, name: Header) -> int:
        """The value of a counter."""
        return int(self.head[_HEADER.index(name)])

    def query(self, column: QueryColumn) -> np.ndarray:
        """A copy of one column of the last queries, int64 [n], in the order of completion."""
        return self._last(self.queries[self.QUERY_COLUMNS.index(column)], "completed")

    def execution(self, column: ExecutionColumn) -> np.ndarray:
        """A copy of one column of the last executions, int64 [n]."""
        return self._last(self.executions[self.EXECUTION_COLUMNS.index(column)], "executions")

    def rows(self, columns: Sequence[memoryview], begin: int, end: int) -> np.ndarray:
        """A copy of rows number `begin` to `end`, which must be kept, of `queries` or `executions`, int64 [columns, n].

        Rows that are overwritten in the meantime may be among them.
        """
        first, last = begin % self.capacity, begin % self.capacity + end - begin
        whole = [np.asarray(column) for column in columns]
        if last <= self.capacity:
            return np.stack([column[first:last] for column in whole])
        return np.stack([np.concatenate((column[first:], column[: last - self.capacity])) for column in whole])

    @property
    def complete(self) -> bool:
        """Whether it still has a row of each query and of each execution."""
        return max(self.counter("completed"), self.counter("executions")) <= self.capacity

    def _last(self, column: memoryview, counter: Header) -> np.ndarray:
        written = self.counter(counter)
        (rows,) = self.rows([column], max(0, written - self.capacity), written)
        return np.asarray(rows)
