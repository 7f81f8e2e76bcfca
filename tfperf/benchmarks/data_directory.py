"""The directory that `--data_dir` names."""

from __future__ import annotations

import os
import pathlib

from tfperf.errors import MissingDataError


def readable(data_dir: pathlib.Path | None, *, reads: str = "its examples", flag: str = "--data_dir") -> pathlib.Path:
    """The directory, for a source that needs one.

    Args:
        data_dir: as the user gave it.
        reads: what is read from it, for messages.
        flag: the flag that names it, for messages.

    Raises:
        MissingDataError: none was given, or it is no directory or can't be read.
    """
    if data_dir is None:
        raise MissingDataError(f"This config reads {reads} from a folder, and none was given. Pass {flag}.")
    if not data_dir.is_dir():
        raise MissingDataError(f"{flag} {data_dir} is not a folder. Pass the folder that holds the examples.")
    if not os.access(data_dir, os.R_OK | os.X_OK):
        raise MissingDataError(f"{flag} {data_dir} can't be read by this user. Change its permissions.")
    return data_dir
