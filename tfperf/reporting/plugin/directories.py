"""Which run directories are below TensorBoard's logdir."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
from collections.abc import Iterator

from tensorboard.compat import tf

DEEPEST = 8
MOST_DIRECTORIES = 20_000

# Parts of a run, in which no further run is looked for.
_PARTS = {"train", "validation", "target", "serving", "performance", "accuracy", "search", "audits", "plugins"}
_URI = re.compile(r"[a-zA-Z][0-9a-zA-Z.+-]*://")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunDirectory:
    """One run directory.

    Attributes:
        path: where it is, as TensorBoard's file access takes it.
        name: what TensorBoard calls the run: its path below the logdir; empty when the logdir is the run.
    """

    path: str
    name: str

    @property
    def key(self) -> str:
        """A name for addresses, whatever characters `name` has."""
        return hashlib.sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def file(self, name: str) -> str:
        """The path of a file in it."""
        return _joined(self.path, name)

    def board_run(self, part: str) -> str:
        """What TensorBoard calls the event files in `part` of it."""
        return _joined(self.name, part)


def roots(*, logdir: str | None, logdir_spec: str | None) -> tuple[tuple[str, str], ...]:
    """Where to look, as (name before the runs', path): `logdir`, or each `name:path` of TensorBoard's --logdir_spec."""
    if logdir:
        return (("", _local(logdir)),)
    return tuple(_named(each) for each in (logdir_spec or "").split(",") if each)


def find(name: str, path: str) -> Iterator[RunDirectory]:
    """The run directories in and below `path`, whose names begin with `name`.

    At most `DEEPEST` directories deep, so that a link to a directory above ends, and in at most `MOST_DIRECTORIES`.
    """
    waiting = [(name, path, 0)]
    for _ in range(MOST_DIRECTORIES):
        if not waiting:
            return
        here, directory, depth = waiting.pop()
        entries = _entries(directory)
        if found := _is_run(entries):
            yield RunDirectory(path=directory, name=here)
        skipped = _PARTS if found else set()
        for entry in sorted(entries - skipped):
            below = _joined(directory, entry)
            if depth < DEEPEST and not _is_file_name(entry) and _is_directory(below):
                waiting.append((_joined(here, entry), below, depth + 1))
    logging.getLogger(__name__).warning("Looked for runs in %d directories below %s only.", MOST_DIRECTORIES, path)


def _is_run(entries: set[str]) -> bool:
    return "result.json" in entries or {"events.jsonl", "spec.yaml"} <= entries


def _is_file_name(entry: str) -> bool:
    """Spares a question to the file system for most files that a run has."""
    return entry.endswith((".json", ".jsonl", ".yaml", ".txt", ".keras", ".conf", ".npz")) or ".tfevents." in entry


def _entries(directory: str) -> set[str]:
    """What is in a directory; nothing, and a line in TensorBoard's log, where that can't be known."""
    try:
        return {entry.rstrip("/") for entry in tf.io.gfile.listdir(directory)}
    except UnicodeError:
        return _entries_in_unicode(directory)
    except (tf.errors.OpError, OSError) as error:
        logging.getLogger(__name__).warning("Runs in %r can't be shown: %s", directory, error)
        return set()


def _entries_in_unicode(directory: str) -> set[str]:
    """What is in a directory of this machine where TensorBoard's file access stops at a name that is no Unicode."""
    entries = {entry for entry in os.listdir(directory) if entry.isprintable()}
    logging.getLogger(__name__).warning("Names in %r that are not in UTF-8 are left out.", directory)
    return entries


def _is_directory(path: str) -> bool:
    try:
        return bool(tf.io.gfile.isdir(path))
    except (tf.errors.OpError, OSError, UnicodeError):
        return False


def _named(specification: str) -> tuple[str, str]:
    """As TensorBoard reads it: `name:path`, where a path may also begin with / or be a URI and have no name."""
    if _URI.match(specification) or ":" not in specification or specification.startswith("/"):
        return "", _local(specification)
    name, _, path = specification.partition(":")
    return name, _local(path)


def _local(path: str) -> str:
    return path if _URI.match(path) else os.path.realpath(os.path.expanduser(path))


def _joined(left: str, right: str) -> str:
    return f"{left.rstrip('/')}/{right}" if left else right
