"""The divisions of MLPerf, and one for everything else."""

from __future__ import annotations

import enum


class Division(str, enum.Enum):
    """How a run may be used: `closed` and `open` as MLPerf defines them, `internal` for everything else."""

    CLOSED = "closed"
    OPEN = "open"
    INTERNAL = "internal"

    def __str__(self) -> str:
        return self.value
