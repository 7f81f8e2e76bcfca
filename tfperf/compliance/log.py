"""MLLOG files as values: the lines that MLPerf reads, with their line numbers."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from tfperf import json_text

TOKEN = ":::MLLOG "
_YEAR_10000_MS = 253_402_300_800_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One event of a log.

    Attributes:
        number: its line number, from 1.
        key: the name of the event.
        value: any JSON value.
        metadata: further values.
        time_ms: milliseconds since the Unix epoch.
    """

    number: int
    key: str
    value: Any
    metadata: Mapping[str, Any]
    time_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
    """A log.

    Attributes:
        path: the file.
        lines: the events, in the order of the file.
        damaged: (line number, reason) of MLLOG lines that can't be read.
        cut_off: whether the file ends in the middle of an MLLOG line.
        numbers: the line numbers of all MLLOG lines, damaged or not.
    """

    path: pathlib.Path
    lines: tuple[Line, ...]
    damaged: tuple[tuple[int, str], ...]
    cut_off: bool
    numbers: tuple[int, ...]

    def all(self, key: str) -> tuple[Line, ...]:
        """The events called `key`."""
        return tuple(line for line in self.lines if line.key == key)

    def first(self, key: str) -> Line | None:
        """The first event called `key`."""
        return next(iter(self.all(key)), None)

    def text(self, key: str) -> str | None:
        """The value of the first event called `key`, if it is a string."""
        line = self.first(key)
        return line.value if line is not None and isinstance(line.value, str) else None


def read(path: pathlib.Path) -> Log:
    """Reads a log, complete or not. Like the official parser, it skips what precedes `:::MLLOG` on a line."""
    lines: list[Line] = []
    damaged: list[tuple[int, str]] = []
    whole = True
    # Latin-1 is the official parser's encoding: it can decode whatever another program printed in between.
    with path.open(encoding="latin-1") as file:
        for number, text in enumerate(file, start=1):
            if TOKEN not in text:
                continue
            try:
                lines.append(_parse(text.rpartition(TOKEN)[2], number=number))
            except ValueError as error:
                damaged.append((number, str(error)))
                whole = text.endswith("\n")
    numbers = sorted([*(line.number for line in lines), *(number for number, _ in damaged)])
    return Log(path=path, lines=tuple(lines), damaged=tuple(damaged), cut_off=not whole, numbers=tuple(numbers))


def holds_events(path: pathlib.Path) -> bool:
    """Whether a file has a line with the MLLOG token."""
    with path.open(encoding="latin-1") as file:
        return any(TOKEN in text for text in file)


def _parse(text: str, *, number: int) -> Line:
    fields = json_text.parse(text)
    if not isinstance(fields, dict):
        raise ValueError("it must be an object")
    missing = [name for name in ("key", "value", "metadata", "time_ms") if name not in fields]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if not isinstance(fields["key"], str) or not isinstance(fields["metadata"], dict):
        raise ValueError("its key must be a string and its metadata an object")
    return Line(
        number=number,
        key=fields["key"],
        value=fields["value"],
        metadata=fields["metadata"],
        time_ms=_milliseconds(fields["time_ms"]),
    )


def _milliseconds(value: object) -> float:
    time_ms = float(value) if isinstance(value, (int, float, str)) else math.nan
    if not 0 <= time_ms < _YEAR_10000_MS:
        raise ValueError(f"its time_ms must be milliseconds since 1970, got {value!r}")
    return time_ms
