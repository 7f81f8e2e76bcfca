"""Ends a process whose parent is gone, so that a killed sweep leaves nothing running."""

from __future__ import annotations

import os
import signal
import threading
import time

_EVERY_S = 0.5


def hold(parent: int) -> None:
    """Watches the parent from a thread; when it is gone the process ends at once, with the group that it leads.

    Args:
        parent: its process id, as the parent told it: it may be gone before this process can look.
    """
    threading.Thread(target=_watch, args=(parent,), name="tfperf lifeline", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY_S)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
