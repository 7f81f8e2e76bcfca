"""One line that is redrawn at the bottom of a terminal, and lines above it that stay."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TextIO

FALLBACK_COLUMNS = 100

_ERASE_TO_END = "\x1b[K"


class LiveLine:
    """Redraws a line a few times a second from its own thread, so that a slow terminal slows nothing else.

    If the stream is not a terminal, such as a log file, only lasting lines are written. The text becomes one of them
    whenever nothing was written for `silence_s`.

    Args:
        stream: where to write, usually `sys.stderr`.
        text: returns the text of the line. Its parts, separated by two spaces, come in order of importance, since the
            last ones are left out if they don't fit. Called from the thread.
        interactive: whether the stream is a terminal, where a line can be redrawn.
        every_s: seconds between redraws.
        silence_s: the longest silence if the stream is not a terminal.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        text: Callable[[], str],
        interactive: bool,
        every_s: float = 0.5,
        silence_s: float = 30.0,
    ) -> None:
        self._stream = stream
        self._text = text
        self._interactive = interactive
        self._every_s = every_s
        self._silence_s = silence_s
        self._written = time.monotonic()
        self._drawing = threading.Lock()
        self._closed = threading.Event()
        work = self._draw_until_closed if interactive else self._break_silences
        self._artist = threading.Thread(target=work, name="tfperf progress", daemon=True)
        self._artist.start()

    def draw(self) -> None:
        """Redraws the line."""
        text = self._text()
        with self._drawing:
            if not self._closed.is_set():
                self._stream.write(f"\r{_fitted(text, _width(self._stream))}{_ERASE_TO_END}")
                self._stream.flush()

    def write_lasting(self, text: str) -> None:
        """Writes a line that stays, above the live one."""
        with self._drawing:
            self._write_line(text)

    def _write_line(self, text: str) -> None:
        self._stream.write(f"\r{text}{_ERASE_TO_END}\n" if self._interactive else f"{text}\n")
        self._stream.flush()
        self._written = time.monotonic()

    def close(self) -> None:
        """Stops drawing and clears the line. The stream stays open."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._artist.join()
        if self._interactive:
            self._stream.write(f"\r{_ERASE_TO_END}")
        self._stream.flush()

    def _draw_until_closed(self) -> None:
        while not self._closed.wait(self._every_s):
            self.draw()

    def _break_silences(self) -> None:
        while not self._closed.wait(max(self._written + self._silence_s - time.monotonic(), 0.01)):
            text = self._text()
            with self._drawing:
                if time.monotonic() - self._written >= self._silence_s and not self._closed.is_set():
                    self._write_line(text)


def _fitted(text: str, width: int) -> str:
    """As many whole parts as fit: a number cut in the middle would be another number."""
    if len(text) <= width:
        return text
    whole, gap, _ = text[: width + 2].rpartition("  ")
    return whole if gap else text[:width]


def _width(stream: TextIO) -> int:
    """Characters that fit on a line of the terminal without wrapping."""
    try:
        return os.get_terminal_size(stream.fileno()).columns - 1
    except OSError:
        return FALLBACK_COLUMNS - 1
