"""A folder is prepared by one process at a time."""

import fcntl
import pathlib
import threading

import pytest

from tfperf.benchmarks.prepare.lock import locked
from tfperf.errors import UsageError


def test_a_lock_that_a_killed_preparation_leaves_for_a_moment_is_waited_for(tmp_path: pathlib.Path) -> None:
    with (tmp_path / ".prepare.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        release = threading.Timer(0.3, fcntl.flock, (held, fcntl.LOCK_UN))
        release.start()
        with locked(tmp_path), pytest.raises(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        release.join()


def test_a_folder_that_is_being_prepared_is_refused(tmp_path: pathlib.Path) -> None:
    with locked(tmp_path), pytest.raises(UsageError, match=f"Another process prepares {tmp_path}"), locked(tmp_path):
        pass
