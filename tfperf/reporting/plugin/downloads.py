"""The files of a run that the page links to, as they are."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from tfperf import sweep_files, telemetry_log
from tfperf.reporting.plugin import files
from tfperf.reporting.plugin.directories import FoundRun

_OFFERED = ("result.json", "mllog.txt", "spec.yaml", sweep_files.SWEEP, "best.yaml", "events.jsonl", telemetry_log.NAME)


def names(run: FoundRun) -> list[str]:
    """The names of the files that the run has, the result first."""
    return [name for name in _OFFERED if name in run.entries]


def content(run: FoundRun, name: str, *, within: Sequence[str]) -> bytes:
    """The content of one of `names`.

    Args:
        run: the run.
        name: the file.
        within: the logdirs. A link to a file outside them is not followed.

    Raises:
        Unreadable: it is gone, can't be read, is too large, or is a link that leaves the logdirs.
    """
    path = run.file(name)
    if "://" not in path and not _is_within(path, within):
        raise files.Unreadable(f"{name} is a link to a file outside the logdir. Open it on the machine that has it.")
    found = files.read(run, name)
    if found is None:
        raise files.Unreadable(f"{name} is gone.")
    return found


def _is_within(path: str, roots: Sequence[str]) -> bool:
    found = pathlib.Path(os.path.realpath(path))
    return any(found.is_relative_to(root) for root in roots if "://" not in root)
