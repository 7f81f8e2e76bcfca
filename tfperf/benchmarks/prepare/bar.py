"""A progress bar that is redrawn on a terminal and makes a line now and then in a log file."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm import tqdm

from tfperf import sign_of_life

_SILENCE_S = 30.0
_TICK_S = 1.0


@contextlib.contextmanager
def bar(total: int, *, unit: str, stream: TextIO | None = None) -> Iterator[Any]:
    """A bar of tqdm's on stderr, or on another stream.

    On a terminal its clock moves every second, and in a log file there is a line every half minute, also while nothing
    is finished.

    Args:
        total: what 100 % is; 0 shows nothing.
        unit: what is counted, such as `images`.
        stream: where to write.
    """
    stream = stream or sys.stderr
    options = {"total": total, "unit": f" {unit}", "disable": not total}
    if stream.isatty():
        with tqdm(file=stream, **options) as progress, sign_of_life.every(_TICK_S, lambda _: progress.refresh()):
            yield progress
        return
    lines = _Lines(stream)

    def break_silence(_: float) -> None:
        if time.monotonic() - lines.written >= _SILENCE_S:
            progress.refresh()

    with (
        tqdm(file=lines, mininterval=_SILENCE_S, ncols=80, **options) as progress,
        sign_of_life.every(_TICK_S, break_silence),
    ):
        yield progress


class _Lines:
    """Makes a line of each time that the bar is drawn.

    Attributes:
        written: when the last line was written, on the monotonic clock, in seconds.
    """

    def __init__(self, stream: TextIO) -> None:
        self.written = time.monotonic()
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes what was drawn, without the carriage return before it."""
        drawn = text.strip("\r\n ")
        if drawn:
            self._stream.write(f"{drawn}\n")
            self.written = time.monotonic()

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()
