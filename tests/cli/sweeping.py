"""Runs `tfperf sweep` as a process, interrupts it, and checks what it leaves."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from tfperf.compliance import checker
from tfperf.errors import UsageError

TESTS = pathlib.Path(__file__).parent.parent
DEADLINE_S = 240


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tfperf", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}


def tfperf(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, env=environment())


def running_below(project: pathlib.Path) -> list[str]:
    """The processes of a sweep that are there, as /proc has them."""
    lines = [_command_line(path) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
    return [line.decode() for line in lines if b"tfperf" in line and str(project).encode() in line]


def _command_line(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""


def interrupt(arguments: tuple[str, ...], project: pathlib.Path, *, when: Callable[[], bool]) -> None:
    """Runs a sweep until something holds, and interrupts it: it ends, and so do all its processes."""
    first = subprocess.Popen(command(*arguments), env=environment(), stdout=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + DEADLINE_S
        while not when():
            assert first.poll() is None, "the sweep ended before it was to be interrupted"
            assert time.monotonic() < ends
            time.sleep(0.05)
        first.send_signal(signal.SIGTERM)
        assert first.wait(timeout=60) == 130
    finally:
        first.kill()
    while running := running_below(project):  # killed, and gone as soon as the system says so
        assert time.monotonic() < ends, running


def passes(path: pathlib.Path) -> bool:
    """Whether `tfperf check` finds anything good in it."""
    try:
        return any(verdict.good for verdict in checker.check(path))
    except UsageError:  # it is nothing that can be checked
        return False
