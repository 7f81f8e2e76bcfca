"""Ends a process whose parent is gone, so that a killed sweep leaves nothing running."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

_EVERY_S = 0.5


def hold(before_end: Callable[[], None] = lambda: None) -> None:
    """Watches the parent from a thread; when it is gone, `before_end` is called and the process ends at once."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent, before_end), name="tfperf lifeline", daemon=True).start()


def _watch(parent: int, before_end: Callable[[], None]) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY_S)
    before_end()
    os._exit(1)
