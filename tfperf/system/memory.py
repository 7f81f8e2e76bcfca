"""How much memory is available, and how much a process holds."""

from __future__ import annotations

import os
import pathlib

_PROC = pathlib.Path("/proc")
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """The memory that a process can still take without swapping, on the machine or in the container, if that has less.

    None if the system doesn't report it, as outside Linux.
    """
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return min((bytes_ for bytes_ in (free, _left_in_container()) if bytes_ is not None), default=None)


def held_bytes(pid: int) -> int | None:
    """A process's resident memory without files and shared memory; None once it is gone, or outside Linux.

    Shared memory doesn't count because a recording in /dev/shm grows with the run and isn't the model's.
    """
    try:
        resident, shared = (_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1:3]
    except (OSError, ValueError):  # a process that has ended leaves an empty file until it is waited for
        return None
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _left_in_container() -> int | None:
    """The memory that this process's control group (version 2 or 1) leaves; None without a limit.

    Cached files that aren't in use count as available: the kernel drops them when it needs room.
    """
    second = _left(_CGROUP, limit="memory.max", used="memory.current", dropped="inactive_file")
    if second is not None:
        return second
    return _left(
        _CGROUP / "memory",
        limit="memory.limit_in_bytes",
        used="memory.usage_in_bytes",
        dropped="total_inactive_file",
    )


def _left(group: pathlib.Path, *, limit: str, used: str, dropped: str) -> int | None:
    try:
        most, now = ((group / name).read_text(encoding="ascii").strip() for name in (limit, used))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    files = next((int(line.split()[1]) for line in lines if line.startswith(f"{dropped} ")), 0)
    return None if most == "max" else max(0, int(most) - int(now) + files)
