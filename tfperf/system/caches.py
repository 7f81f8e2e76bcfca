"""The operating system's file cache, which a compliant run empties first."""

from __future__ import annotations

import os
import pathlib

_SWITCH = pathlib.Path("/proc/sys/vm/drop_caches")


def drop() -> bool:
    """Empties the file cache where the user may, so that data comes from durable storage.

    Returns:
        Whether it was really done. It takes root on Linux.
    """
    if not os.access(_SWITCH, os.W_OK):
        return False
    os.sync()
    try:
        _SWITCH.write_text("3", encoding="ascii")
    except OSError:  # a container's root may open the file and not write to it: the caches stand
        return False
    return True
