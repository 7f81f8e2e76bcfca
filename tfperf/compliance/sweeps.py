"""The verdict on the files of an internal sweep: they are not a result, whatever they contain."""

from __future__ import annotations

import pathlib

from tfperf import result, sweep_files
from tfperf.compliance.verdict import Verdict, Violation

_WHY = (
    "An internal sweep wrote this. Neither it nor any run in it is a result: the runs were made to be compared, and "
    "the best of them was picked. Run the config that the sweep found, best.yaml, on its own."
)


def directories(folder: pathlib.Path) -> list[pathlib.Path]:
    """The outermost directories in `folder`, possibly itself, that a sweep wrote."""
    marked = {path.parent for mark in (sweep_files.SWEEP, sweep_files.TRIAL) for path in folder.rglob(mark)}
    written = {path for path in marked if sweep_files.wrote(path)}
    return sorted(path for path in written if not written.intersection(path.parents))


def verdict(directory: pathlib.Path) -> Verdict:
    """The verdict on a directory that a sweep wrote."""
    outcome = _outcome(directory / "result.json")
    return Verdict(
        path=str(directory),
        kind="sweep",
        benchmark=None if outcome is None else outcome.benchmark,
        division="internal",
        status="incomplete" if outcome is None else outcome.status,
        violations=(Violation(message=_WHY),),
    )


def _outcome(path: pathlib.Path) -> result.Result | None:
    try:
        return result.read(path)
    except (OSError, ValueError):  # cut off or damaged, which says no more than a missing file
        return None
