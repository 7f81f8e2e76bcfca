"""Scratch goes when its run ends or, if that was killed, when the next run begins."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from tfperf.system import scratch

HOUR_AGO = 3600.0
PROGRAM = """
import pathlib, sys, time
from tfperf.system import scratch
with getattr(scratch, sys.argv[1])(pathlib.Path(sys.argv[2])) as path:
    print(path, flush=True)
    time.sleep(600)
"""


def age(path: pathlib.Path) -> None:
    then = path.stat().st_mtime - HOUR_AGO
    os.utime(path, (then, then))


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_a_killed_run_left_is_removed_by_the_next(kind: str, tmp_path: pathlib.Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        left = pathlib.Path(other.stdout.readline().strip())
        age(left)
        with getattr(scratch, kind)(tmp_path):
            assert left.exists()  # the other run goes on
        other.send_signal(signal.SIGKILL)
        other.wait()
    with getattr(scratch, kind)(tmp_path) as own:
        assert own.exists()
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_young_one_and_files_of_others_stay(tmp_path: pathlib.Path) -> None:
    young, other = tmp_path / "tfperf-scratch-young", tmp_path / "else"
    young.touch()
    other.touch()
    with scratch.directory(tmp_path):
        assert young.exists()
    age(other)
    with scratch.file(tmp_path):
        assert other.exists()
