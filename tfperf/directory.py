"""Directories of runs: each under a new name, none ever overwritten."""

from __future__ import annotations

import datetime
import pathlib
import secrets

from tfperf.errors import UsageError


def make(output_dir: pathlib.Path, *, name: str) -> pathlib.Path:
    """Makes `<output_dir>/<UTC time>-<name>-<6 hex digits>`.

    Raises:
        UsageError: it can't be made.
    """
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    made = output_dir / f"{stamp}-{name}-{secrets.token_hex(3)}"
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"The run directory {made} can't be made: {error}. Choose another --output_dir.") from error
    return made
