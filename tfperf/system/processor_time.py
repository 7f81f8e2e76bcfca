"""How much processor time a process has used."""

from __future__ import annotations

import os
import pathlib

_PROC = pathlib.Path("/proc")


def used_s(pid: int) -> float | None:
    """Processor seconds of a process's threads so far; None once it is gone, or outside Linux."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        user, system = text.rpartition(")")[2].split()[11:13]  # the name may hold spaces and parentheses
    except (OSError, ValueError):  # a process that has ended may leave an empty file
        return None
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
