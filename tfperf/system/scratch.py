"""Scratch files and directories that the next run removes if a killed run left them.

A lock shows that a run still uses its scratch: the system releases it however the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

_PREFIX = "tfperf-scratch-"
_LOCK = ".lock"
_YOUNG_S = 60.0  # a younger one may be between being made and being locked


@contextlib.contextmanager
def directory(parent: pathlib.Path | None = None) -> Iterator[pathlib.Path]:
    """A new directory, which is removed after the block.

    Args:
        parent: where to make it; None for the system's folder for temporary files.
    """
    parent = parent or pathlib.Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as name:
        path = pathlib.Path(name)
        with (path / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield path


@contextlib.contextmanager
def file(parent: pathlib.Path | None = None) -> Iterator[pathlib.Path]:
    """A new empty file, which is removed after the block.

    Args:
        parent: as in `directory`.
    """
    parent = parent or pathlib.Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=parent)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield pathlib.Path(name)
    finally:
        os.close(descriptor)
        pathlib.Path(name).unlink(missing_ok=True)


def _remove_abandoned(parent: pathlib.Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is another user's, or another run removes it at the same time
            if _is_abandoned(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_abandoned(path: pathlib.Path) -> bool:
    if time.time() - path.stat().st_mtime < _YOUNG_S:
        return False
    with (path / _LOCK if path.is_dir() else path).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True
