"""Shows that something which lasts is still running."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

Say = Callable[[str], None]

_STAGE_EVERY_S = 30.0


@contextlib.contextmanager
def stage(doing: str, say: Say, *, at_once: bool = True) -> Iterator[None]:
    """Says what the block does, and then every 30 seconds that it still does it.

    Args:
        doing: what the block does, such as `reading the text`.
        say: takes each line; it is also called from another thread.
        at_once: whether to say it when the block begins, too. Blocks that mostly take a moment don't.
    """
    if at_once:
        say(doing)
    with every(_STAGE_EVERY_S, lambda passed_s: say(f"still {doing}, for {passed_s:.0f} s now")):
        yield


@contextlib.contextmanager
def every(seconds: float, tell: Callable[[float], None]) -> Iterator[None]:
    """Calls a function again and again, from another thread, until the block ends.

    Args:
        seconds: between two calls, and before the first.
        tell: takes the seconds since the block began.
    """
    done = threading.Event()
    began = time.monotonic()

    def work() -> None:
        while not done.wait(seconds):
            tell(time.monotonic() - began)

    thread = threading.Thread(target=work, name="tfperf sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
