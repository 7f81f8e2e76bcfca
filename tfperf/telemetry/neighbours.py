"""Processor time of other programs: on a busy machine, latencies measure the neighbours too."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

_PROC = pathlib.Path("/proc")


def other_cpu_s(pids: Sequence[int]) -> float | None:
    """Processor seconds of all other processes on the machine, from its start until now.

    Subtract two readings, one before and one after a run. The kernel counts in ticks of 10 ms, and counts the machine
    and its processes slightly differently, so a difference near 0 may be negative.

    Processor time is user, nice, system, irq and softirq time. It excludes time stolen by the hypervisor, see
    `stolen_cpu_s`. In a container it still covers the whole machine.

    Args:
        pids: our processes. Their threads, living descendants and the children that they waited for count as ours. A
            process that has ended counts as another one, unless its parent is in `pids` and waited for it.

    Returns:
        None on systems without /proc.
    """
    busy = _machine()
    return None if busy is None else busy[0] - sum(_process_s(pid) for pid in with_descendants(pids))


def has_proc() -> bool:
    """Whether the system shows its processes in /proc."""
    return (_PROC / "stat").exists()


def stolen_cpu_s() -> float | None:
    """Seconds in which the hypervisor gave this machine's processors to other machines; None without /proc."""
    busy = _machine()
    return None if busy is None else busy[1]


def _machine() -> tuple[float, float] | None:
    """Busy and stolen seconds of all processors, from the columns in `man 5 proc_stat`."""
    try:
        with (_PROC / "stat").open(encoding="ascii") as lines:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines.readline().split()[1:9])
    except FileNotFoundError:
        return None
    tick_s = _tick_s()
    return (user + nice + system + irq + softirq) * tick_s, steal * tick_s


def _process_s(pid: int) -> float:
    """Processor seconds of a process and of the children that it waited for; 0 if it has ended."""
    fields = _fields(pid)
    return 0.0 if fields is None else sum(int(ticks) for ticks in fields[11:15]) * _tick_s()


def with_descendants(pids: Sequence[int]) -> set[int]:
    """The processes and all their living descendants. Needs /proc."""
    children = _listed_children if (_PROC / "thread-self" / "children").exists() else _searched_children()
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children(pid)
    return found


def _listed_children(pid: int) -> Iterator[int]:
    """Children of every thread of a process, on kernels with CONFIG_PROC_CHILDREN."""
    try:
        threads = os.listdir(_PROC / str(pid) / "task")
    except (FileNotFoundError, ProcessLookupError):
        return
    for thread in threads:
        listed = _content(f"{pid}/task/{thread}/children")
        if listed is not None:  # otherwise the thread has ended
            yield from map(int, listed.split())


def _searched_children() -> Callable[[int], Sequence[int]]:
    """Children of a process, found through the parents of all processes, which takes longer."""
    by_parent: dict[int, list[int]] = {}
    for pid in (int(name) for name in os.listdir(_PROC) if name.isdigit()):
        fields = _fields(pid)
        if fields is not None:
            by_parent.setdefault(int(fields[1]), []).append(pid)
    return lambda pid: by_parent.get(pid, ())


def _fields(pid: int) -> list[bytes] | None:
    """The columns of /proc/<pid>/stat after the name, which may contain spaces and brackets."""
    line = _content(f"{pid}/stat")
    return None if line is None else line.rpartition(b")")[2].split()


def _content(name: str) -> bytes | None:
    """A file of /proc; None if it is gone. Path would take three times as long, and there are many threads."""
    try:
        with open(f"{_PROC}/{name}", "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _tick_s() -> float:
    return 1 / os.sysconf("SC_CLK_TCK")
