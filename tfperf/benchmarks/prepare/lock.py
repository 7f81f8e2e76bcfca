"""Lets one process at a time work in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
from collections.abc import Iterator

from tfperf.errors import UsageError


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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"Another process prepares {folder}. Wait for it, or choose another folder.") from error
        yield
