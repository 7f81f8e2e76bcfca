"""Runs somebody's model and data in a thread, so that Ctrl-C is noticed at once, and a step that hangs in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tfperf.errors import TimedOutError

Found = TypeVar("Found")

# The first call of a model may compile it, which takes this many times as long as any other may.
FIRST = 10.0
_LOOKS_S = 0.05


class Watch:
    """Knows what the work is doing, and until when it may.

    Attributes:
        over: whether nobody waits for the work any more. It then ends with its next step.
    """

    def __init__(self) -> None:
        self.over = False
        self._doing, self._limit_s, self._until_s = "", 0.0, float("inf")

    def begin(self, doing: str, *, limit_s: float) -> None:
        """Says which step begins, and how long it may take.

        Args:
            doing: such as `reading batch 7`.
            limit_s: seconds.
        """
        if self.over:
            raise _NobodyWaitsError
        self._doing, self._limit_s, self._until_s = doing, limit_s, time.perf_counter() + limit_s

    def check(self) -> None:
        """Raises `TimedOutError` if the step takes too long."""
        if time.perf_counter() > self._until_s:
            raise TimedOutError(
                f"{self._doing} took longer than {self._limit_s:g} s. If it only takes long, raise hang_after_s."
            )


class _NobodyWaitsError(Exception):
    """Ends work that was given up."""


def watched(work: Callable[[Watch], Found]) -> Found:
    """What the work returns.

    Args:
        work: gets a watch, and calls its `begin` before each step.

    Raises:
        TimedOutError: a step took too long. The thread goes on until that step ends, if it ever does.
        Exception: what the work raised.
    """
    watch = Watch()
    found: list[Found] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work(watch))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="watched", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOKS_S)
            if thread.is_alive():
                watch.check()
    finally:
        watch.over = True
    if raised:
        raise raised[0]
    return found[0]
