"""The processor time that the control groups of this process allow, as in a container with `--cpus 2`."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

_PROC = pathlib.Path("/proc")
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def cpus() -> float | None:
    """The least quota of this process's control groups and those above them, in processors; None without one.

    Version 2 has it in `cpu.max`, version 1 in `cpu.cfs_quota_us` (Documentation/admin-guide/cgroup-v2.rst and
    Documentation/scheduler/sched-bwc.rst of Linux). A process that uses more stands still for the rest of each period.
    """
    return min((quota for quota in _quotas() if quota is not None), default=None)


def _quotas() -> Iterator[float | None]:
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # outside Linux
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from (_second_version(group) for group in _groups(_CGROUP, path))
        elif "cpu" in controllers.split(","):
            for mounted in dict.fromkeys((controllers, "cpu")):
                yield from (_first_version(group) for group in _groups(_CGROUP / mounted, path))


def _groups(mounted: pathlib.Path, path: str) -> Iterator[pathlib.Path]:
    """The group and those above it. In a container the path may be the host's, and only the mounted root exists."""
    inside = pathlib.PurePosixPath(path.lstrip("/"))
    yield from (mounted / group for group in (inside, *inside.parents))


def _second_version(group: pathlib.Path) -> float | None:
    match _words(group / "cpu.max"):
        case [quota, period] if quota != "max":
            return int(quota) / int(period)
    return None


def _first_version(group: pathlib.Path) -> float | None:
    match _words(group / "cpu.cfs_quota_us"), _words(group / "cpu.cfs_period_us"):
        case [quota], [period] if int(quota) > 0:
            return int(quota) / int(period)
    return None


def _words(path: pathlib.Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
