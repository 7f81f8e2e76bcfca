"""Ends a process whose parent is gone, so that a killed sweep leaves nothing running."""

from __future__ import annotations

import os
import signal
import threading
import time

_EVERY_S = 0.5


def end_with(parent: int) -> None:
    """Watches the parent from a thread. When it is gone, kills this process and the group that it leads.

    Args:
        parent: its process id, passed by the parent: it may be gone before this process can look it up.
    """
    threading.Thread(target=_watch, args=(parent,), name="tfperf parent watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY_S)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
