"""Finds what may be a run below a directory, with a fingerprint that changes when its files do."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import Literal

from tfperf import loadgen_log, manifest, sweep_files
from tfperf.errors import UsageError

What = Literal["run", "loadgen", "log"]

RESULT = "result.json"
_RUN_MARKS = frozenset({RESULT, "events.jsonl", "spec.yaml"})
_LOADGEN_MARKS = frozenset({loadgen_log.DETAIL, loadgen_log.SUMMARY})
_LOADGEN_LOGS = "mlperf_log_"
_LOG_SUFFIXES = (".txt", ".log", ".out", ".txt.gz", ".log.gz")
# Holds runs/ and, for a submission, copies of their logs in results/.
_SERIES_MARK = "series.json"
_COPIES = ("results", "systems")
_DEEPEST = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A file or folder that may be a run.

    Attributes:
        path: relative to the directory of the history, `.` if it is the directory itself.
        what: a run directory of tfperf, a folder with LoadGen's logs, or a file that may be an MLLOG log.
        fingerprint: changes when a file in it is added, removed or rewritten. Rewriting a file in a folder below is not
            noticed, as long as it keeps its name.
        touched_s: when one of its files was last changed.
        sealed: whether it has a manifest.
        result_s: when its result was last changed; None without a result.
    """

    path: str
    what: What
    fingerprint: str
    touched_s: float
    sealed: bool = False
    result_s: float | None = None


def find(store: pathlib.Path) -> list[Found]:
    """Everything below a directory that may be a run, not in any order.

    Raises:
        UsageError: the directory can't be listed.
    """
    try:
        os.scandir(store).close()
    except OSError as error:
        raise UsageError(
            f"{store} can't be listed: {error.strerror}. Pass the directory that holds the runs, such as runs."
        ) from error
    logs: dict[pathlib.Path, list[tuple[str, os.stat_result]]] = {}
    found = list(_below(str(store), "", logs=logs, depth=0))
    for folder, files in logs.items():
        found.append(_found(folder.relative_to(store).as_posix(), "loadgen", sorted(files, key=lambda each: each[0])))
    return found


def _below(
    store: str, path: str, *, logs: dict[pathlib.Path, list[tuple[str, os.stat_result]]], depth: int
) -> Iterator[Found]:
    try:
        with os.scandir(os.path.join(store, path)) as listed:
            inside = list(listed)
    except OSError:  # removed in the meantime, or not ours to read
        return
    names = {each.name for each in inside}
    if names & _RUN_MARKS or sweep_files.SWEEP in names:
        yield _found(path or ".", "run", _stats(inside))
        return
    if names & _LOADGEN_MARKS:
        from tfperf.compliance import published  # late, since listing runs of tfperf needs nothing of it

        folder = published.measurement_of(pathlib.Path(store, path), within=pathlib.Path(store))
        marks = [each for each in inside if each.name in _LOADGEN_MARKS]
        logs.setdefault(folder, []).extend((f"{path}/{name}", stat) for name, stat in _stats(marks))
    skipped = _COPIES if _SERIES_MARK in names else ()
    for each in inside:
        inner = f"{path}/{each.name}" if path else each.name
        if each.is_dir(follow_symlinks=False):
            if depth < _DEEPEST and each.name not in skipped and not each.name.startswith("."):
                yield from _below(store, inner, logs=logs, depth=depth + 1)
        elif each.name.endswith(_LOG_SUFFIXES) and not each.name.startswith(_LOADGEN_LOGS) and each.is_file():
            yield _found(inner, "log", _stats([each]))


def _stats(inside: list[os.DirEntry[str]]) -> list[tuple[str, os.stat_result]]:
    stats = []
    for each in sorted(inside, key=lambda entry: entry.name):
        try:
            stats.append((each.name, each.stat()))
        except OSError:  # removed in the meantime, or a link to nowhere
            continue
    return stats


def _found(path: str, what: What, files: list[tuple[str, os.stat_result]]) -> Found:
    marks = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files]
    by_name = dict(files)
    result = by_name.get(RESULT)
    return Found(
        path=path,
        what=what,
        fingerprint=hashlib.sha1(
            "\n".join(marks).encode("utf-8", "surrogateescape"), usedforsecurity=False
        ).hexdigest(),
        touched_s=max((stat.st_mtime for _, stat in files), default=0.0),
        sealed=manifest.NAME in by_name,
        result_s=None if result is None else result.st_mtime,
    )
