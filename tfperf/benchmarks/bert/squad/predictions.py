"""From the logits of windows to the text of an answer, as run_squad.py and MLPerf's accuracy-squad.py get there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfperf.benchmarks.bert.squad.features import Features
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.text import AskedQuestion, QuestionSet, Words, words_of
from tfperf.benchmarks.text import basic_words
from tfperf.benchmarks.text.wordpiece import WordPiece

NO_ANSWER = "empty"
"""The reference's answer where no window of a question has a valid one."""


class Span(NamedTuple):
    """An answer in a window: its first and its last token, and the sum of their logits."""

    start: int
    end: int
    score: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Exam:
    """Questions with all that turns logits into answers.

    Args:
        asked: the questions.
        features: their windows, not made for training, which leaves questions out.
        cutter: the tokenizer that made them.
        options: the options that they were made with.
    """

    asked: QuestionSet
    features: Features
    cutter: WordPiece
    options: SquadOptions

    @functools.cached_property
    def words(self) -> Sequence[Words]:
        """The words of each context."""
        return [words_of(context) for context in self.asked.contexts]

    @functools.cached_property
    def answerable(self) -> Sequence[np.ndarray]:
        """For each window, which tokens of its context may start an answer: those with the most context there."""
        questions = range(len(self.features.context_of))
        return [tokens for question in questions for tokens in self.features.best_placed(question)]

    def questions(self, windows: Iterable[int]) -> list[AskedQuestion]:
        """The questions that these windows belong to, in the order of the set.

        Those without a window, whose context has no token, are among them where all windows are.
        """
        given = set(windows)
        numbers = {int(self.features.question_of[window]) for window in given}
        if len(given) == len(self.features):
            numbers = set(range(len(self.asked.questions)))
        return [self.asked.questions[number] for number in sorted(numbers)]


def best_span(logits: np.ndarray, window: int, exam: Exam) -> Span | None:
    """The best answer in a window: of the tokens with the highest logits, the valid pair with the highest sum.

    Of equal logits the first token counts, and of equal sums that of the higher starting logit, as in the reference.

    Args:
        logits: float [length, 2], start and end of each token of the window; padding may follow.
        window: its number.
        exam: the questions.

    Returns:
        None if no pair is valid: in the context, the end not before the start, not too long, and the start at a token
        that has no more context in another window.
    """
    first, size = int(exam.features.first_tokens[window]), int(exam.features.lengths[window])
    values = logits[: first + size + 1].astype(np.float64)
    starts, ends = (_highest(values[:, side], exam.options.best_answers) for side in (0, 1))
    starts, ends = (tokens[(tokens >= first) & (tokens < first + size)] for tokens in (starts, ends))
    starts = starts[exam.answerable[window][starts - first]]
    lengths = ends - starts[:, None] + 1
    valid = (lengths > 0) & (lengths <= exam.options.answer_length)
    if not valid.any():
        return None
    sums = np.where(valid, values[starts, 0][:, None] + values[ends, 1], -np.inf)
    row, column = divmod(int(sums.argmax()), len(ends))
    return Span(int(starts[row]), int(ends[column]), float(sums[row, column]))


def predictions(spans: Mapping[int, Span | None], exam: Exam) -> dict[str, str]:
    """The answers to the questions of these windows, by id, in the order of the questions.

    Args:
        spans: the best span of each window.
        exam: the questions.
    """
    best: dict[int, tuple[int, Span]] = {}
    for window in sorted(spans):
        span, question = spans[window], int(exam.features.question_of[window])
        if span is not None and (question not in best or span.score > best[question][1].score):
            best[question] = (window, span)
    answers = {exam.asked.questions[number].id: answer_text(*found, exam) for number, found in best.items()}
    return {question.id: answers.get(question.id, NO_ANSWER) for question in exam.questions(spans)}


def answer_text(window: int, span: Span, exam: Exam) -> str:
    """The text of the context that a span of a window stands for."""
    features = exam.features
    ids, _, _ = features.window(window)
    pieces = " ".join(exam.cutter.vocabulary.pieces[number] for number in ids[span.start : span.end + 1])
    first = int(features.first_tokens[window])
    start, end = features.word_numbers(window)[[span.start - first, span.end - first]].tolist()
    context = int(features.context_of[features.question_of[window]])
    return aligned(
        " ".join(pieces.replace(" ##", "").replace("##", "").split()),
        " ".join(exam.words[context].texts[start : end + 1]),
        lower_case=exam.cutter.lower_case,
    )


def aligned(normal: str, original: str, *, lower_case: bool) -> str:
    """The part of a text that a part of its normal form stands for: "Steve Smith" of "Steve Smith's" for "steve smith".

    The characters of both are counted without blanks. Where that fails, because normalising changed their number, the
    answer is the whole text.

    Args:
        normal: the words of the part, as the tokenizer sees them.
        original: the text.
        lower_case: whether the model is uncased.
    """
    whole = " ".join(word.text for word in basic_words.split(original, lower_case=lower_case))
    start = whole.find(normal)
    places = [place for place, character in enumerate(original) if character != " "]
    if start < 0 or not normal or len(places) != len(whole) - whole.count(" "):
        return original
    first = start - whole.count(" ", 0, start)
    last = first + len(normal) - normal.count(" ") - 1
    return original[places[first] : places[last] + 1]


def _highest(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the highest values, the highest first."""
    return np.argsort(-values, kind="stable")[:count]
