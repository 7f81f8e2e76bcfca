"""Questions about contexts, as the files of SQuAD v1.1 hold them."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfperf import git_lfs, json_text
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

_NAMES_IN_A_MESSAGE = 5
_KINDS: Mapping[type, str] = {str: "a string", list: "a list", dict: "an object", int: "a whole number"}

# What separates words in run_squad.py of google-research/bert: fewer characters than Python's str.split.
_WORD = re.compile("[^ \t\r\n\u202f]+")


class Answer(NamedTuple):
    """An answer, and the character of the context at which it starts."""

    text: str
    start: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """A question.

    Attributes:
        id: differs between questions.
        text: the question.
        context: the number of the context that holds the answer.
        answers: accepted answers, at least one. Training learns the first.
    """

    id: str
    text: str
    context: int
    answers: tuple[Answer, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionSet:
    """Contexts, and questions about them in the order of the file.

    Attributes:
        name: the file, or another name for messages.
        contexts: the texts.
        questions: at least one.
        digest: differs between sets.
    """

    name: str
    contexts: tuple[str, ...]
    questions: tuple[AskedQuestion, ...]
    digest: str


class Words(NamedTuple):
    """The words of a context: what stands between blanks.

    Attributes:
        texts: the words.
        starts: the character at which each starts, ascending.
    """

    texts: list[str]
    starts: np.ndarray

    def at(self, character: int) -> int:
        """The number of the word that holds a character; of the word before a blank, and -1 if there is none."""
        return int(np.searchsorted(self.starts, character, side="right")) - 1


def words_of(context: str) -> Words:
    """The words of a context."""
    found = list(_WORD.finditer(context))
    return Words([match.group() for match in found], np.array([match.start() for match in found], np.int64))


def read(path: pathlib.Path) -> QuestionSet:
    """Reads a file such as `dev-v1.1.json`.

    Raises:
        MissingDataError: the file is not there or can't be read.
        DamagedDataError: it is not in the layout of SQuAD; says where.
        UsageError: it has questions without an answer, as SQuAD 2.0 has.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingDataError(
            f"The questions {path} can't be read: {error.strerror or error}. Download SQuAD v1.1 to that place."
        ) from error
    return parse(content, name=str(path))


def parse(content: bytes, *, name: str) -> QuestionSet:
    """The questions in the content of a file.

    Raises:
        DamagedDataError, UsageError: as `read`.
    """
    if content.startswith(git_lfs.POINTER):
        raise DamagedDataError(
            f"{name} is a Git LFS pointer, not questions. Run git lfs pull where it comes from, and copy the file."
        )
    try:
        found = json_text.parse(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DamagedDataError(
            f"{name}: byte 0x{content[error.start]:02x} at {error.start:,} is not UTF-8. Download the file again."
        ) from error
    except ValueError as error:
        raise DamagedDataError(f"{name} is not JSON: {error}. Download the file again.") from error
    try:
        contexts, questions = _parsed(found)
    except _LayoutError as error:
        raise DamagedDataError(
            f"{name} is not in the layout of SQuAD v1.1: {error}. Download the file again, or convert it: "
            '{"data": [{"paragraphs": [{"context": TEXT, "qas": [{"id": TEXT, "question": TEXT, "answers": [{"text": '
            'TEXT, "answer_start": CHARACTER}]}]}]}]}.'
        ) from error
    _require_answers(questions, name=name)
    return QuestionSet(name=name, contexts=contexts, questions=questions, digest=hashlib.sha256(content).hexdigest())


def to_json(questions: QuestionSet, **more: Any) -> str:
    """The questions as a file of SQuAD v1.1, which the official script reads, in the same order.

    Args:
        questions: the questions.
        more: what else the file is to hold, by key.
    """
    asked: dict[int, list[AskedQuestion]] = {}
    for question in questions.questions:
        asked.setdefault(question.context, []).append(question)
    paragraphs = [
        {
            "context": questions.contexts[context],
            "qas": [
                {
                    "id": question.id,
                    "question": question.text,
                    "answers": [{"text": answer.text, "answer_start": answer.start} for answer in question.answers],
                }
                for question in of_context
            ],
        }
        for context, of_context in asked.items()
    ]
    return json.dumps({"version": "1.1", **more, "data": [{"title": "", "paragraphs": paragraphs}]}) + "\n"


class _LayoutError(ValueError):
    """Something is not where SQuAD v1.1 has it."""


def _parsed(found: Any) -> tuple[tuple[str, ...], tuple[AskedQuestion, ...]]:
    contexts: list[str] = []
    questions: list[AskedQuestion] = []
    for where, paragraph in _paragraphs(found):
        for place, asked in _entries(paragraph, "qas", where):
            questions.append(_question(asked, place, context=len(contexts)))
        contexts.append(_field(paragraph, "context", str, where))
    if not questions:
        raise _LayoutError("it has no questions")
    counts = collections.Counter(question.id for question in questions)
    repeated = [repr(name) for name, count in counts.items() if count > 1]
    if repeated:
        raise _LayoutError(f"{len(repeated):,} ids belong to several questions, {_listed(repeated)}")
    return tuple(contexts), tuple(questions)


def _paragraphs(found: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(found, dict):
        raise _LayoutError(f"it must hold an object, got {type(found).__name__}")
    for where, article in _entries(found, "data", ""):
        yield from _entries(article, "paragraphs", where)


def _question(found: Any, where: str, *, context: int) -> AskedQuestion:
    # SQuAD 2.0 has plausible answers, too, which are no answers.
    listed = () if isinstance(found, dict) and found.get("is_impossible") is True else _entries(found, "answers", where)
    return AskedQuestion(
        id=_field(found, "id", str, where),
        text=_field(found, "question", str, where),
        context=context,
        answers=tuple(
            Answer(_field(each, "text", str, place), _field(each, "answer_start", int, place)) for place, each in listed
        ),
    )


def _entries(found: Any, key: str, where: str) -> Iterator[tuple[str, Any]]:
    for number, entry in enumerate(_field(found, key, list, where)):
        yield f"{where}{'.' if where else ''}{key}[{number}]", entry


def _field(found: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(found, dict):
        raise _LayoutError(f"{where} must be an object, got {type(found).__name__}")
    value = found.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        name = f"{where}.{key}" if where else key
        raise _LayoutError(f"{name} must be {_KINDS[kind]}, got {'nothing' if value is None else repr(value)[:40]}")
    return value


def _require_answers(questions: Sequence[AskedQuestion], *, name: str) -> None:
    without = [question.id for question in questions if not question.answers]
    if without:
        raise UsageError(
            f"{len(without):,} of {len(questions):,} questions in {name} have no answer, {_listed(without)}. That is "
            "SQuAD 2.0; MLPerf's task is v1.1, where each has one. Take the files train-v1.1.json and dev-v1.1.json."
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_IN_A_MESSAGE
    return ", ".join(names[:_NAMES_IN_A_MESSAGE]) + (f" and {more:,} more" if more > 0 else "")
