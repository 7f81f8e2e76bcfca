"""The SUT's recording of a run, in memory shared with the parent process.

The SUT writes it without system calls, locks or allocations. The parent can read it during the run, and after the
SUT's process was killed.
"""

from __future__ import annotations

import mmap
import pathlib
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
_QUERY_COLUMNS = ("issued_ns", "latency_ns", "queue_ns")
_EXECUTION_COLUMNS = ("started_ns", "staging_ns", "compute_ns", "samples", "samples_length", "batch_size", "length")
_WORD_BYTES = 8
ROW_BYTES = _WORD_BYTES * (len(_QUERY_COLUMNS) + len(_EXECUTION_COLUMNS))


class Recording:
    """Counters, and one row for each query and for each execution of the model, in a mapped file.

    Stamps are `time.perf_counter_ns` in the SUT's process. Rows beyond the capacity are counted, but not kept.
    Attributes whose names end in `_word` are positions in `head`.

    Attributes:
        head: counters; write one as `recording.head[recording.completed_word] = n`.
        queries: issued_ns, latency_ns (from issue to the end of the completion call) and queue_ns (from issue to the
            start of the execution), each a memoryview of int64, in the order of completion.
        executions: started_ns, staging_ns, compute_ns, samples (real ones, without padding), samples_length (the sum of
            their own lengths), and the bucket that was executed: batch_size and length, padding included.
            Both lengths are 0 if samples have none.
    """

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
            for index in range(len(_QUERY_COLUMNS) + len(_EXECUTION_COLUMNS))
        ]
        self.queries = tuple(columns[: len(_QUERY_COLUMNS)])
        self.executions = tuple(columns[len(_QUERY_COLUMNS) :])

    @classmethod
    def create(cls, path: pathlib.Path, *, capacity: int) -> Recording:
        """Creates the file, full of zeros; pages that are never written take no memory.

        Args:
            path: the file, preferably in an in-memory file system such as /dev/shm.
            capacity: rows to keep for queries, and for executions.
        """
        with path.open("wb") as file:
            file.truncate(_WORD_BYTES * _HEADER_WORDS + ROW_BYTES * capacity)
        return cls(path, capacity=capacity)

    def counter(self, name: Header) -> int:
        """The value of a counter."""
        return int(self.head[_HEADER.index(name)])

    def query(self, column: QueryColumn) -> np.ndarray:
        """A copy of one column of the queries completed so far, int64 [n]."""
        kept = min(self.counter("completed"), self.capacity)
        return np.array(self.queries[_QUERY_COLUMNS.index(column)][:kept], np.int64)

    def execution(self, column: ExecutionColumn) -> np.ndarray:
        """A copy of one column of the executions so far, int64 [n]."""
        kept = min(self.counter("executions"), self.capacity)
        return np.array(self.executions[_EXECUTION_COLUMNS.index(column)][:kept], np.int64)

    @property
    def complete(self) -> bool:
        """Whether every completed query has a row."""
        return self.counter("completed") <= self.capacity
