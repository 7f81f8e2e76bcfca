"""Events as JSON lines: the durable record of a run, from which every view can be rebuilt."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

from tfperf import errors, events, json_text

_FIELDS = {"time_s", "key", "value", "metadata"}
_NOT_JSON = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class JsonLines:
    """A sink that appends one JSON object per event: `{"time_s": ..., "key": ..., "value": ..., "metadata": ...}`.

    Each line goes to the operating system when its event is emitted, so a killed process loses none. After `flush` the
    lines survive a power cut, too. Numbers that JSON lacks become the strings "NaN", "Infinity" and "-Infinity".

    Args:
        path: a file that does not exist yet.

    Raises:
        UsageError: the file exists.
    """

    def __init__(self, path: pathlib.Path) -> None:
        try:
            self._file = path.open("x", encoding="utf-8", buffering=1)
        except FileExistsError as error:
            raise errors.UsageError(
                f"{path} exists, and the events of a run are never overwritten. Choose another directory or move the "
                "file."
            ) from error

    def emit(self, event: events.Event) -> None:
        """Writes one line."""
        self._file.write(_line(event))

    def flush(self) -> None:
        """Returns when everything emitted is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flushes and closes the file."""
        with self._file:
            self.flush()


def read_events(path: pathlib.Path) -> list[events.Event]:
    """Reads what `JsonLines` wrote, without a last line that was cut off.

    Raises:
        DamagedDataError: any other line is not an event.
        FileNotFoundError: there is no such file.
    """
    return parse_events(path.read_bytes(), source=str(path))


def parse_events(content: bytes, *, source: str) -> list[events.Event]:
    """Parses what `JsonLines` wrote, without a last line that was cut off.

    Args:
        content: the content of an `events.jsonl`.
        source: its name in messages.

    Raises:
        DamagedDataError: any other line is not an event.
    """
    *lines, last = content.split(b"\n")
    found = []
    for number, line in enumerate(lines, start=1):
        event = _event(line)
        if event is None:
            raise errors.DamagedDataError(
                f"{source}, line {number}: got {line[:80]!r}, expected one JSON object with the fields time_s, key, "
                "value and metadata. Only a last line may be incomplete; restore the file."
            )
        found.append(event)
    cut_off = _event(last)
    return found if cut_off is None else [*found, cut_off]


def _line(event: events.Event) -> str:
    fields = {
        "time_s": event.time_s,
        "key": event.key,
        "value": event.value,
        "metadata": dict(event.metadata),
    }
    try:
        return json.dumps(fields, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(_without_nan(fields), allow_nan=False) + "\n"


def _event(line: bytes) -> events.Event | None:
    """Parses what `_line` wrote; None if it is anything else."""
    try:
        fields = json_text.parse(line)
    except ValueError:
        return None
    whole = isinstance(fields, dict) and fields.keys() == _FIELDS
    return events.Event(**_with_nan(fields)) if whole else None


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return next(name for name, number in _NOT_JSON.items() if str(number) == str(value))
    return _mapped(_without_nan, value)


def _with_nan(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_JSON.get(value, value)
    return _mapped(_with_nan, value)


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [change(inner) for inner in value]
    return value
