"""Lets one process at a time work in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import time
from collections.abc import Iterator
from typing import IO

from tfperf.errors import UsageError

# A preparation killed while it started a process leaves its lock to that process, until exec closes it.
_PATIENCE_S = 2.0
_BETWEEN_TRIES_S = 0.05


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Creates the folder and locks it until the end of the block, or of the process.

    Raises:
        UsageError: another process holds it, or it can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".prepare.lock").open("w")
    except OSError as error:
        raise UsageError(f"--data_dir {folder} can't be written: {error.strerror}. Choose another folder.") from error
    with file:
        if not _acquired(file):
            raise UsageError(f"Another process prepares {folder}. Wait for it, or choose another folder.")
        yield


def _acquired(file: IO[str]) -> bool:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
        time.sleep(_BETWEEN_TRIES_S)
