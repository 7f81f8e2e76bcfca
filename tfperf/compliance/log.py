"""MLLOG files as values: the lines that MLPerf reads, with their line numbers."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tfperf import json_text

TOKEN = ":::MLLOG "
# Larger files hold statistics of each step, which no rule is about. They are not kept.
_LARGE_BYTES = 32 << 20
# The official parser's time grows with the square of a line's length: 20 s for 200,000 characters.
_LONGEST_LINE = 1 << 15
_OWN_KEYS = ("quality_target", "cache_clear", "seed", "eval_error")
_OWN_PREFIXES = ("submission_", "init_", "run_", "block_st", "epoch_st", "eval_st", "eval_accuracy")
_YEAR_10000_MS = 253_402_300_800_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One event of a log.

    Attributes:
        number: its line number, from 1.
        key: the name of the event.
        value: any JSON value.
        metadata: further values.
        time_ms: milliseconds since the Unix epoch.
    """

    number: int
    key: str
    value: Any
    metadata: Mapping[str, Any]
    time_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
    """A log.

    Attributes:
        path: the file, as the user named it.
        file: the file with its text, which differs from `path` for pipes and archives.
        lines: the events, in the order of the file.
        damaged: (line number, reason) of MLLOG lines that can't be read.
        cut_off: whether the file ends in the middle of an MLLOG line.
        numbers: the line numbers of the MLLOG lines that were kept, damaged or not.
        crowded: (line number, key) of events that another event follows in the same line.
        dropped: keys whose events were not kept, because the file or a line is large and no rule is about them.
        preceded: whether very much other text stands before an event in its line.
    """

    path: pathlib.Path
    file: pathlib.Path
    lines: tuple[Line, ...]
    damaged: tuple[tuple[int, str], ...]
    cut_off: bool
    numbers: tuple[int, ...]
    crowded: tuple[tuple[int, str], ...] = ()
    dropped: frozenset[str] = frozenset()
    preceded: bool = False

    def all(self, key: str) -> tuple[Line, ...]:
        """The events called `key`."""
        return tuple(line for line in self.lines if line.key == key)

    def first(self, key: str) -> Line | None:
        """The first event called `key`."""
        return next(iter(self.all(key)), None)

    def text(self, key: str) -> str | None:
        """The value of the first event called `key`, if it is a string."""
        line = self.first(key)
        return line.value if line is not None and isinstance(line.value, str) else None


def read(path: pathlib.Path, *, file: pathlib.Path | None = None) -> Log:
    """Reads a log, complete or not. Like the official parser, it skips what precedes the last `:::MLLOG` on a line.

    Args:
        path: the log, as the user named it.
        file: the file with its text, if it is another one.
    """
    source = path if file is None else file
    large = source.stat().st_size > _LARGE_BYTES
    lines: list[Line] = []
    damaged: list[tuple[int, str]] = []
    crowded: list[tuple[int, str]] = []
    dropped: set[str] = set()
    whole, preceded = True, False
    # Latin-1 is the official parser's encoding: it can decode whatever another program printed in between.
    with source.open(encoding="latin-1") as opened:
        for number, text in enumerate(opened, start=1):
            if TOKEN not in text:
                continue
            before, _, last = text.rpartition(TOKEN)
            preceded = preceded or len(before) > _LONGEST_LINE
            if TOKEN in before:
                crowded += [(number, _key(part)) for part in before.split(TOKEN)[1:]]
            try:
                line = _parse(last, number=number)
                long = len(last) > _LONGEST_LINE
                if (large or long) and not _matters(line.key):
                    dropped.add(line.key)
                elif long:
                    raise ValueError(f"it has {len(last):,} characters, and at most {_LONGEST_LINE:,} are read")
                else:
                    lines.append(line)
            except ValueError as error:
                damaged.append((number, str(error)))
                whole = text.endswith("\n")
    lines = [line for line in lines if line.key not in dropped]
    numbers = sorted([*(line.number for line in lines), *(number for number, _ in damaged)])
    return Log(
        path=path,
        file=source,
        lines=tuple(lines),
        damaged=tuple(damaged),
        cut_off=not whole,
        numbers=tuple(numbers),
        crowded=tuple(crowded),
        dropped=frozenset(dropped),
        preceded=preceded,
    )


def kept_text(log: Log) -> Iterator[str]:
    """The lines of the file that were kept, from their last token on; in place of a damaged one, its token alone."""
    kept, damaged = set(log.numbers), {number for number, _ in log.damaged}
    with log.file.open(encoding="latin-1") as opened:
        for number, text in enumerate(opened, start=1):
            if number in kept:
                yield f"{TOKEN}\n" if number in damaged else text[text.rindex(TOKEN) :]


def _key(text: str) -> str:
    """The key of an event that may be cut off."""
    found = re.search(r'"key": *"([^"]*)"', text)
    return found[1] if found else "an event"


def _matters(key: str) -> bool:
    """Whether a rule of any round, or tfperf itself, reads the events of this key."""
    return key in _ruled() or key in _OWN_KEYS or key.startswith(_OWN_PREFIXES)


@functools.cache
def _ruled() -> frozenset[str]:
    from mlperf_logging import compliance_checker

    rules = pathlib.Path(str(compliance_checker.__file__)).parent.glob("training_*/*.yaml")
    texts = (path.read_text(encoding="utf-8") for path in rules)
    return frozenset(key for text in texts for key in re.findall(r"NAME: *(\S+)", text))


def holds_events(path: pathlib.Path) -> bool:
    """Whether a file has a line with the MLLOG token, also in UTF-16."""
    tokens = (TOKEN, "\0".join(TOKEN))
    with path.open(encoding="latin-1") as file:
        return any(token in text for text in file for token in tokens)


def _parse(text: str, *, number: int) -> Line:
    fields = json_text.parse(text)
    if not isinstance(fields, dict):
        raise ValueError("it must be an object")
    missing = [name for name in ("key", "value", "metadata", "time_ms") if name not in fields]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if not isinstance(fields["key"], str) or not isinstance(fields["metadata"], dict):
        raise ValueError("its key must be a string and its metadata an object")
    return Line(
        number=number,
        key=fields["key"],
        value=fields["value"],
        metadata=fields["metadata"],
        time_ms=_milliseconds(fields["time_ms"]),
    )


def _milliseconds(value: object) -> float:
    time_ms = float(value) if isinstance(value, (int, float, str)) else math.nan
    if not 0 <= time_ms < _YEAR_10000_MS:
        raise ValueError(f"its time_ms must be milliseconds since 1970, got {value!r}")
    return time_ms
