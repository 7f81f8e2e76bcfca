"""Run directories: each has a new name, and none is ever overwritten."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import secrets

from tfperf import spec
from tfperf.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run reads and writes.

    Attributes:
        output_dir: the run directory is created in it.
        name: part of the run directory's name.
        data_dir: where the data is; None for embedded data in the per-user cache.
        device: what to run on; None for the default.
    """

    output_dir: pathlib.Path
    name: str
    data_dir: pathlib.Path | None = None
    device: spec.Device | None = None


def make(output_dir: pathlib.Path, *, name: str) -> pathlib.Path:
    """Creates `<output_dir>/<UTC time>-<name>-<6 hex digits>`.

    Raises:
        UsageError: it can't be created.
    """
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    made = output_dir / f"{stamp}-{name}-{secrets.token_hex(3)}"
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"The run directory {made} can't be created: {error}. Choose another --output_dir.") from error
    return made
