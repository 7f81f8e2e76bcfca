"""How much memory there is, and how much a process holds."""

from __future__ import annotations

import os
import pathlib

_PROC = pathlib.Path("/proc")
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """What a process can still take without swapping: of the machine, or of the container where that is less.

    None where the system does not tell, as outside Linux.
    """
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return min((bytes_ for bytes_ in (free, _left_in_container()) if bytes_ is not None), default=None)


def held_bytes(pid: int) -> int | None:
    """Resident memory of a process, without files and memory that it shares; None once it is gone, or outside Linux.

    What is shared is left out because a recording in /dev/shm grows with the run and is not the model's.
    """
    try:
        resident, shared = (_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1:3]
    except (OSError, ValueError):  # a process that has ended leaves an empty file until it is waited for
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _left_in_container() -> int | None:
    """What the control group (version 2) of this process leaves; None without a limit."""
    try:
        limit, used = (
            (_CGROUP / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current")
        )
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used))
