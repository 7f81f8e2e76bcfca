"""Where a run reads and writes, and the run directories that it makes there."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import secrets

from tfperf import spec
from tfperf.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a run reads and writes, and what it runs on.

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

    def make_run_dir(self) -> pathlib.Path:
        """Creates `<output_dir>/<UTC time>-<name>-<6 hex digits>`. Each name is new, so nothing is overwritten.

        Raises:
            UsageError: it can't be created.
        """
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        run_dir = self.output_dir / f"{stamp}-{self.name}-{secrets.token_hex(3)}"
        try:
            run_dir.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"The run directory {run_dir} can't be created: {error}. Choose another --output_dir."
            ) from error
        return run_dir
