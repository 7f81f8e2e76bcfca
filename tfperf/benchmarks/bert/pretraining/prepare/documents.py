"""Reads text, a sentence a line and a blank line between documents, as the ids of word pieces."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tfperf.benchmarks.bert.pretraining.prepare.instances import Document
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import DamagedDataError

_LINES_AT_A_TIME = 10_000


def read(path: pathlib.Path, wordpiece: WordPiece) -> list[Document]:
    """The documents of a file, without sentences of which no piece is left, and without empty documents.

    Raises:
        DamagedDataError: the file is not UTF-8, or holds no text.
        OSError: it can't be read.
    """
    lines = [line.strip() for line in decoded(path).split("\n")]
    documents: list[list[Sequence[int]]] = [[]]
    for start in range(0, len(lines), _LINES_AT_A_TIME):
        several = lines[start : start + _LINES_AT_A_TIME]
        for line, ids in zip(several, wordpiece.ids(several), strict=True):
            if not line:
                documents.append([])
            elif ids:
                documents[-1].append(ids)
    found: list[Document] = [document for document in documents if document]
    if not found:
        raise DamagedDataError(
            f"{path}: no text in {len(lines):,} lines. Accepted is a sentence a line, and a blank "
            "line between documents. Remove the file, or replace it."
        )
    return found


def decoded(path: pathlib.Path) -> str:
    """The text of a file.

    Raises:
        DamagedDataError: it is not UTF-8; says where.
        OSError: it can't be read.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DamagedDataError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8. Convert the file to UTF-8, or "
            "download it again."
        ) from error
