"""The files of a run directory, through TensorBoard's file access."""

from __future__ import annotations

import dataclasses

from tensorboard.compat import tf

from tfperf.reporting.plugin.directories import FoundRun

MOST_BYTES = 64 * 2**20
_FIRST_BYTES = 64 * 2**10


class Unreadable(Exception):
    """A file of a run exists but can't be shown. The message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stamp:
    """Changes when the file does.

    Attributes:
        length: the length in bytes.
        modified_ns: the time of the last change; None if the file system has none.
    """

    length: int
    modified_ns: int | None


def stamps(run: FoundRun, *names: str) -> tuple[Stamp | None, ...]:
    """The stamp of each file; None for a missing file."""
    return tuple(_stamp(run.file(name)) for name in names)


def are_reliable(stamped: tuple[Stamp | None, ...]) -> bool:
    """Whether equal stamps imply equal content."""
    return all(stamp is None or stamp.modified_ns is not None for stamp in stamped)


def read(run: FoundRun, name: str) -> bytes | None:
    """The content of a file; None if there is no file.

    Raises:
        Unreadable: it can't be read, or is larger than any such file that tfperf writes.
    """
    path = run.file(name)
    stamp = _stamp(path)
    if stamp is None:
        return None
    if stamp.length > MOST_BYTES:
        raise Unreadable(f"{name} has {stamp.length:,} bytes; at most {MOST_BYTES:,} are shown.")
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content: bytes = file.read()
            return content
    except (tf.errors.OpError, OSError) as error:
        raise Unreadable(f"{name} can't be read: {error}") from error


def first_line(run: FoundRun, name: str) -> bytes | None:
    """The first line of a file, or its start if the line is long; None if there is no such file or it can't be read."""
    try:
        with tf.io.gfile.GFile(run.file(name), "rb") as file:
            start: bytes = file.read(_FIRST_BYTES)
    except (tf.errors.OpError, OSError, UnicodeError):
        return None
    return start.partition(b"\n")[0]


def _stamp(path: str) -> Stamp | None:
    try:
        found = tf.io.gfile.stat(path)
    except (tf.errors.OpError, OSError, UnicodeError):
        return None
    return Stamp(length=int(found.length), modified_ns=getattr(found, "mtime_nsec", None))
