"""Who else used the processors, told by processes that are really busy."""

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tfperf.telemetry import neighbours

pytestmark = pytest.mark.skipif(not pathlib.Path("/proc/stat").exists(), reason="needs /proc")

# Takes as much processor time as the line it reads says, and answers.
_SPIN = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end:
        pass
    print("done", flush=True)
"""
_GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_SPIN!r}])"
_SPIN_S = 0.5


@contextlib.contextmanager
def spinner(program: str = _SPIN) -> Iterator[subprocess.Popen[str]]:
    """A process that has started and waits for what to do."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        spin(process, seconds=0)
        yield process


def spin(process: subprocess.Popen[str], *, seconds: float) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


@pytest.mark.parametrize("program", [_SPIN, _GRANDCHILD], ids=["a child", "a grandchild"])
def test_counts_what_our_descendants_take_as_ours(program):
    with spinner(program) as process:
        both = [_read([os.getpid()]), _read([]), _read([os.getpid(), process.pid])]
        spin(process, seconds=_SPIN_S)
        after = [_read([os.getpid()]), _read([]), _read([os.getpid(), process.pid])]
        process.stdin.close()
    ours, none, twice = (end - begin for begin, end in zip(both, after, strict=True))
    # Whatever else the machine does is in all three, so the differences are the spinner's.
    assert none - ours == pytest.approx(_SPIN_S, abs=0.15)
    assert twice == pytest.approx(ours, abs=0.15)


def test_counts_a_process_that_is_not_ours_as_other():
    with spinner() as ours, spinner() as other:
        before, everything = _read([ours.pid]), _read([])
        spin(other, seconds=_SPIN_S)
        took, in_all = _read([ours.pid]) - before, _read([]) - everything
    assert took >= _SPIN_S - 0.1
    assert took == pytest.approx(in_all, abs=0.1)


def test_finds_the_same_descendants_where_the_kernel_does_not_list_them():
    with spinner(_GRANDCHILD):
        children = neighbours._searched_children()
        child = next(iter(children(os.getpid())))
        assert list(neighbours._listed_children(os.getpid())) == list(children(os.getpid()))
        assert list(neighbours._listed_children(child)) == list(children(child))
        assert len(children(child)) == 1


def test_still_counts_a_child_that_has_ended_and_was_waited_for():
    with spinner() as process:
        before, everything = _read([os.getpid()]), _read([])
        spin(process, seconds=_SPIN_S)
        process.stdin.close()
        process.wait()
        ours, in_all = _read([os.getpid()]) - before, _read([]) - everything
    assert in_all - ours >= _SPIN_S - 0.1


def test_takes_a_process_that_is_gone_for_none_of_ours():
    with spinner() as process:
        process.stdin.close()
        process.wait()
    assert _read([process.pid]) == pytest.approx(_read([]), abs=0.1)


def test_tells_stolen_time_apart():
    stolen = neighbours.stolen_cpu_s()
    assert stolen is not None and stolen >= 0


def test_says_nothing_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(neighbours, "_PROC", tmp_path)
    assert neighbours.other_cpu_s([os.getpid()]) is None
    assert neighbours.stolen_cpu_s() is None


def _read(pids: list[int]) -> float:
    seconds = neighbours.other_cpu_s(pids)
    assert seconds is not None
    return seconds
