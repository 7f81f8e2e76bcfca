"""What a SUT recorded, as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

_QUERY_COLUMNS = ("issued_ns", "latency_ns", "queue_ns")
_EXECUTION_COLUMNS = ("started_ns", "staging_ns", "compute_ns", "samples", "samples_length", "batch_size", "length")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """One run as its SUT saw it. All stamps are nanoseconds of one clock.

    Attributes:
        issued_ns: when each query arrived, int64 [queries], like the next two in the order of completion.
        latency_ns: from its arrival to the end of the call that completed it.
        queue_ns: from its arrival to the start of its staging.
        started_ns: when the model started each execution, int64 [executions].
        staging_ns: time before that to prepare its samples for the model, possibly while another execution computed.
        compute_ns: the model's time.
        samples: real samples, without padding.
        samples_length: the sum of their own lengths, without padding; 0 if samples have no length.
        batch_size: the executed batch size, with padding.
        length: the executed length of its samples, with padding; 0 if samples have no length.
        query_every: the rows are those of every n-th query.
        execution_every: the rows are those of every n-th execution.
        slowest_ns: the highest latencies of all queries, ascending; empty if the rows have them all.
        executed: (batch size, length, executions) of all executions, int64 [sizes, 3]; empty if the rows have them all.
        queries: how many queries there were; None if the rows have them all.
    """

    issued_ns: np.ndarray
    latency_ns: np.ndarray
    queue_ns: np.ndarray
    started_ns: np.ndarray
    staging_ns: np.ndarray
    compute_ns: np.ndarray
    samples: np.ndarray
    samples_length: np.ndarray
    batch_size: np.ndarray
    length: np.ndarray
    query_every: int = 1
    execution_every: int = 1
    slowest_ns: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    executed: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 3), np.int64))
    queries: int | None = None

    def __post_init__(self) -> None:
        for names in (_QUERY_COLUMNS, _EXECUTION_COLUMNS):
            shapes = {name: getattr(self, name).shape for name in names}
            if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
                raise ValueError(f"{', '.join(names)} must be flat and equally long, got shapes {shapes}.")

    @property
    def ended_ns(self) -> np.ndarray:
        """When the model finished each execution, int64 [executions]."""
        return np.asarray(self.started_ns + self.compute_ns)


class RecordedRows(Protocol):
    """Where the rows of a run are: a recording, or the archive of one with too many."""

    def query(self, column: Any, /) -> np.ndarray:
        """One column of the queries."""

    def execution(self, column: Any, /) -> np.ndarray:
        """One column of the executions."""


class ArchivedRows(RecordedRows, Protocol):
    """Evenly spaced rows, and what is known of all."""

    queries: Any
    executions: Any
    executed: Any

    @property
    def lost(self) -> int:
        """Rows that were overwritten before they were read."""

    @property
    def slowest_ns(self) -> np.ndarray:
        """The highest latencies."""


def of(recording: RecordedRows, archive: ArchivedRows | None) -> Recorded:
    """The rows of a run; evenly spaced ones, with what is known of all, if there were too many."""
    rows = recording if archive is None else archive
    columns: Any = {name: rows.query(name) for name in _QUERY_COLUMNS}
    columns |= {name: rows.execution(name) for name in _EXECUTION_COLUMNS}
    found = Recorded(**columns)
    if archive is None:
        return found
    executed: Mapping[tuple[int, int], int] = archive.executed
    sizes = [(batch, length, count) for (batch, length), count in sorted(executed.items())]
    return dataclasses.replace(
        found,
        query_every=archive.queries.every,
        execution_every=archive.executions.every,
        slowest_ns=archive.slowest_ns[:0] if archive.lost else archive.slowest_ns,
        executed=np.array(sizes, np.int64).reshape(-1, 3),
        queries=archive.queries.seen,
    )
