"""Finds the run directories below TensorBoard's logdir."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
from collections.abc import Iterator

from tensorboard.compat import tf

from tfperf import sweep_files

DEEPEST = 8
MOST_DIRECTORIES = 20_000

# Parts of a run. They are not searched for further runs.
_PARTS = {
    "train",
    "validation",
    "target",
    "serving",
    "performance",
    "accuracy",
    "search",
    "audits",
    "plugins",
    "keras_tuner",
}
_URI = re.compile(r"[a-zA-Z][0-9a-zA-Z.+-]*://")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FoundRun:
    """One run directory.

    Attributes:
        path: its path for TensorBoard's file access.
        name: TensorBoard's name for the run: its path below the logdir, empty if the logdir itself is the run.
        entries: the names in the directory.
        sweep: the name of the sweep that made the run; None if there is none.
    """

    path: str
    name: str
    entries: frozenset[str] = frozenset()
    sweep: str | None = None

    @property
    def key(self) -> str:
        """A name that is safe in addresses, whatever characters `name` has."""
        return key_of(self.name)

    @property
    def is_sweep(self) -> bool:
        """Whether a sweep wrote the directory itself."""
        return sweep_files.SWEEP in self.entries

    @property
    def trial(self) -> str:
        """The trial that the run is: `3` for `trials/3` in its sweep, `repeats/best/1` for a repeat; else empty."""
        if self.sweep is None:
            return ""
        below = self.name[len(self.sweep) :].strip("/")
        folder, _, rest = below.partition("/")
        return rest.partition("/")[0] if folder == "trials" else below

    def file(self, name: str) -> str:
        """The path of a file in the run directory."""
        return _joined(self.path, name)

    def board_run(self, part: str) -> str:
        """TensorBoard's name for the event files in `part` of the run."""
        return _joined(self.name, part)


def key_of(name: str) -> str:
    """The key of the run with this name."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def roots(*, logdir: str | None, logdir_spec: str | None) -> tuple[tuple[str, str], ...]:
    """Where to look, as (prefix of the run names, path): `logdir`, or each `name:path` of --logdir_spec."""
    if logdir:
        return (("", _local(logdir)),)
    return tuple(_named(each) for each in (logdir_spec or "").split(",") if each)


def find(name: str, path: str) -> Iterator[FoundRun]:
    """The run directories in and below `path`, with names that begin with `name`.

    Searches at most `MOST_DIRECTORIES` directories, and at most `DEEPEST` levels, so that a link to a parent ends.
    """
    waiting: list[tuple[str, str, int, str | None]] = [(name, path, 0, None)]
    for _ in range(MOST_DIRECTORIES):
        if not waiting:
            return
        here, directory, depth, sweep = waiting.pop()
        entries = _entries(directory)
        if found := _is_run(entries):
            run = FoundRun(path=directory, name=here, entries=frozenset(entries), sweep=sweep)
            sweep = here if run.is_sweep else sweep
            yield run
        skipped = _PARTS if found else set()
        for entry in sorted(entries - skipped):
            below = _joined(directory, entry)
            if depth < DEEPEST and not _is_file_name(entry) and _is_directory(below):
                waiting.append((_joined(here, entry), below, depth + 1, sweep))
    logging.getLogger(__name__).warning("Searched only %d directories below %s for runs.", MOST_DIRECTORIES, path)


def _is_run(entries: set[str]) -> bool:
    return not entries.isdisjoint({"result.json", sweep_files.SWEEP}) or {"events.jsonl", "spec.yaml"} <= entries


def _is_file_name(entry: str) -> bool:
    """Recognises most files of a run without asking the file system."""
    return entry.endswith((".json", ".jsonl", ".yaml", ".txt", ".keras", ".conf", ".npz")) or ".tfevents." in entry


def _entries(directory: str) -> set[str]:
    """The entries of a directory. If it can't be read, none, and a line in TensorBoard's log."""
    try:
        return {entry.rstrip("/") for entry in tf.io.gfile.listdir(directory)}
    except UnicodeError:
        return _entries_in_unicode(directory)
    except (tf.errors.OpError, OSError) as error:
        logging.getLogger(__name__).warning("Runs in %r can't be shown: %s", directory, error)
        return set()


def _entries_in_unicode(directory: str) -> set[str]:
    """The entries of a local directory in which TensorBoard's file access fails at a name that is not Unicode."""
    entries = {entry for entry in os.listdir(directory) if entry.isprintable()}
    logging.getLogger(__name__).warning("Names in %r that are not UTF-8 are left out.", directory)
    return entries


def _is_directory(path: str) -> bool:
    try:
        return bool(tf.io.gfile.isdir(path))
    except (tf.errors.OpError, OSError, UnicodeError):
        return False


def _named(specification: str) -> tuple[str, str]:
    """Parses `name:path` as TensorBoard does. A path that begins with / or is a URI may have no name."""
    if _URI.match(specification) or ":" not in specification or specification.startswith("/"):
        return "", _local(specification)
    name, _, path = specification.partition(":")
    return name, _local(path)


def _local(path: str) -> str:
    return path if _URI.match(path) else os.path.realpath(os.path.expanduser(path))


def _joined(left: str, right: str) -> str:
    return f"{left.rstrip('/')}/{right}" if left else right
