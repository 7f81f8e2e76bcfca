"""The text of a log, wherever it comes from: a file, a pipe, standard input, or a gzip archive."""

from __future__ import annotations

import contextlib
import gzip
import pathlib
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from tfperf.errors import DamagedDataError, UsageError

STANDARD_INPUT = pathlib.Path("-")
GZIP = ".gz"

_START_BYTES = 1 << 16
_MOST_BYTES = 4 << 30
# MLPerf Training 0.5 and 0.6 wrote `:::MLPv0.5.0 [...]` and `:::MLL 1560228744.3 key: {...}`.
_BEFORE_MLLOG = re.compile(rb":::ML(?:P|L )v?\d")
_BYTE_ORDER_MARKS = ((b"\xff\xfe\x00\x00", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file that can be read more than once, with the content of `path`.

    Args:
        path: a file, a pipe, `-` for standard input, or a file that ends in `.gz`.

    Raises:
        DamagedDataError: it can't be read as text with MLLOG lines; says why.
        UsageError: the content is too large for a temporary copy.
    """
    if path != STANDARD_INPUT and path.suffix != GZIP and path.is_file():
        _require_text(path)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tfperf-check-") as folder:
        copy = pathlib.Path(folder) / "log.txt"
        with contextlib.ExitStack() as files, copy.open("wb") as target:
            source = sys.stdin.buffer if path == STANDARD_INPUT else files.enter_context(_opened(path))
            _copy(source, target, path=path)
        _require_text(copy)
        yield copy


def _opened(path: pathlib.Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DamagedDataError(f"The file can't be opened: {error.strerror}.") from error


def _require_text(file: pathlib.Path) -> None:
    """Refuses a log that is not text in the format of MLLOG, by its beginning."""
    with _opened(file) as source:
        start = source.read(_START_BYTES)
    encoding = _encoding(start)
    if encoding is not None:
        raise DamagedDataError(
            f"The file is in {encoding}; MLPerf's logs are in UTF-8. PowerShell's > writes UTF-16. Convert the file, "
            f"as with iconv -f {encoding} -t UTF-8, and check the copy."
        )
    if _BEFORE_MLLOG.search(start) and b":::MLLOG" not in start:
        raise DamagedDataError(
            "The log is of MLPerf Training v0.5 or v0.6, in a format before MLLOG. Accepted: logs of v0.7 or later."
        )


def _encoding(start: bytes) -> str | None:
    for mark, name in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return name
    if start.count(0) <= len(start) / 3:
        return None
    # Without a mark, the zeros of English text show the byte order: iconv has to be told.
    return "UTF-16BE" if start.startswith(b"\0") else "UTF-16LE"


def _copy(source: BinaryIO, target: BinaryIO, *, path: pathlib.Path) -> None:
    try:
        with contextlib.ExitStack() as files:
            packed = path.suffix == GZIP
            stream = files.enter_context(gzip.open(source)) if packed else source
            while block := stream.read(1 << 20):
                target.write(block)
                if target.tell() > _MOST_BYTES:
                    raise UsageError(f"{path} holds more than {_MOST_BYTES >> 30} GB. Unpack it and check the file.")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedDataError(f"The archive can't be unpacked: {error}.") from error
