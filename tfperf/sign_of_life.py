"""Shows that something which lasts is still running."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


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
