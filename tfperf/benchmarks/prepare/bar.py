"""A progress bar that is redrawn on a terminal and makes a line now and then in a log file."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tqdm import tqdm

_EVERY_S = 30.0


def bar(total: int, *, unit: str, stream: TextIO | None = None) -> Any:
    """A bar of tqdm's on stderr, or on another stream.

    Args:
        total: what 100 % is; 0 shows nothing.
        unit: what is counted, such as `images`.
        stream: where to write.
    """
    stream = stream or sys.stderr
    if stream.isatty():
        return tqdm(total=total, unit=f" {unit}", file=stream, disable=not total)
    return tqdm(total=total, unit=f" {unit}", file=_Lines(stream), mininterval=_EVERY_S, ncols=80, disable=not total)


class _Lines:
    """Makes a line of each time that the bar is drawn."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes what was drawn, without the carriage return before it."""
        drawn = text.strip("\r\n ")
        if drawn:
            self._stream.write(f"{drawn}\n")

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()
