"""Finds files of plain text and splits them into documents and sentences, simply."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

from tfperf.benchmarks.bert.pretraining.prepare import documents
from tfperf.errors import MissingDataError

WIKITEXT = ".tokens"
SUFFIXES = (".txt", WIKITEXT)

# Where a sentence ends: after its punctuation, and a closing quote or bracket if there is one.
_END = re.compile("(?:(?<=[.!?])|(?<=[.!?][\"'\u201d\u2019)\\]]))\\s+")
_HEADING = re.compile(r"=( =)* .* =( =)*")
_TITLE = re.compile(r"= [^=].* =")


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of text in a folder and in those below it, by name; hidden ones and vocabularies are left out.

    Raises:
        MissingDataError: there is none.
    """
    if not folder.is_dir():
        raise MissingDataError(f"--source must be a folder with files of text; got {folder}, which is not a folder.")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES
        and path.is_file()
        and path.name != "vocab.txt"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise MissingDataError(f"{folder} holds no text. Accepted are files ending in {' or '.join(SUFFIXES)}.")
    return found


def split(path: pathlib.Path) -> Iterator[list[str]]:
    """The documents of a file, each a list of sentences; no sentence is empty, and no document.

    A blank line ends a document. In WikiText's files, which end in .tokens, a title does, and other headings are left
    out. A line ends a sentence, and so do full stops, question and exclamation marks before a blank.

    Raises:
        DamagedDataError: the file is not UTF-8.
        OSError: it can't be read.
    """
    text = documents.decoded(path)
    sentences: list[str] = []
    for line in text.split("\n"):
        line = line.strip()
        if _ends_document(line, path.suffix):
            if sentences:
                yield sentences
            sentences = []
        elif not (path.suffix == WIKITEXT and _HEADING.fullmatch(line)):
            sentences += [sentence for sentence in _END.split(line) if sentence]
    if sentences:
        yield sentences


def _ends_document(line: str, suffix: str) -> bool:
    return _TITLE.fullmatch(line) is not None if suffix == WIKITEXT else not line
