"""Questions and contexts as the windows of token ids that the model sees.

The windows are those of `convert_examples_to_features` in run_squad.py of google-research/bert, which MLPerf
Inference's create_squad_data.py repeats, in the same order. Each context is cut into pieces once, however many
questions and windows it has, and the ids of a window are put together when it is read.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.text import AskedQuestion, QuestionSet, Words, words_of
from tfperf.benchmarks.text.vocabulary import CLASSIFY, SEPARATOR
from tfperf.benchmarks.text.wordpiece import WordPiece

_SPECIAL_TOKENS = 3  # [CLS] question [SEP] context [SEP]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pieces:
    """Lists of numbers in one array: list i is values[offsets[i]:offsets[i + 1]]."""

    values: np.ndarray
    offsets: np.ndarray

    def __getitem__(self, number: int) -> np.ndarray:
        found: np.ndarray = self.values[self.offsets[number] : self.offsets[number + 1]]
        return found

    @property
    def sizes(self) -> np.ndarray:
        """The size of each list."""
        return np.diff(self.offsets)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The windows of a set of questions.

    Attributes:
        classify: the id of [CLS].
        separator: the id of [SEP].
        contexts: the ids of each context.
        words: for each context, the number of the word that each of its tokens belongs to.
        questions: the ids of each question, cut to the longest length allowed.
        truncated: how many questions were cut.
        context_of: the context of each question, int64 [questions].
        question_of: the question of each window, int64 [windows].
        starts: the token of the context with which each window starts, int64 [windows].
        lengths: the tokens of the context in each window, int64 [windows].
        answers: the tokens of the window at which the answer starts and ends, int32 [windows, 2]; (0, 0) where the
            window does not hold the whole answer, and for features that aren't for training.
    """

    classify: int
    separator: int
    contexts: Pieces
    words: Pieces
    questions: Pieces
    truncated: int
    context_of: np.ndarray
    question_of: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    answers: np.ndarray

    def __len__(self) -> int:
        return len(self.question_of)

    @functools.cached_property
    def first_tokens(self) -> np.ndarray:
        """Where in each window the context begins, int64 [windows]."""
        found: np.ndarray = self.questions.sizes[self.question_of] + 2
        return found

    @functools.cached_property
    def windows_of(self) -> np.ndarray:
        """The first window of each question, and the number of windows, int64 [questions + 1]."""
        found: np.ndarray = np.searchsorted(self.question_of, np.arange(len(self.context_of) + 1))
        return found

    def size(self, window: int) -> int:
        """Tokens in a window."""
        return int(self.first_tokens[window] + self.lengths[window]) + 1

    def window(self, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`input_ids`, `input_mask` and `segment_ids` of a window, int32 of its own length."""
        question = int(self.question_of[window])
        start, first = int(self.starts[window]), int(self.first_tokens[window])
        size = self.size(window)
        ids = np.empty(size, np.int32)
        ids[0] = self.classify
        ids[1 : first - 1] = self.questions[question]
        ids[first - 1] = ids[-1] = self.separator
        ids[first:-1] = self.contexts[int(self.context_of[question])][start : start + size - first - 1]
        segments = np.zeros(size, np.int32)
        segments[first:] = 1
        return ids, np.ones(size, np.int32), segments

    def batch(self, windows: Sequence[int], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of several windows, int32 [n, length], padded with 0."""
        arrays = np.zeros((3, len(windows), length), np.int32)
        for row, window in enumerate(windows):
            for array, part in zip(arrays, self.window(window), strict=True):
                array[row, : len(part)] = part
        return arrays[0], arrays[1], arrays[2]

    def word_numbers(self, window: int) -> np.ndarray:
        """The word of the context that each token of a window's context belongs to, from `first_tokens` on."""
        context, start = int(self.context_of[self.question_of[window]]), int(self.starts[window])
        return self.words[context][start : start + int(self.lengths[window])]

    def best_placed(self, question: int) -> list[np.ndarray]:
        """For each window of a question, which tokens of its context no other window has more context around."""
        first, stop = self.windows_of[question : question + 2]
        return best_placed(self.starts[first:stop], self.lengths[first:stop])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingFeatures:
    """Windows to train on.

    Attributes:
        features: the windows of the questions whose answer was found.
        misplaced: the questions that were left out because their answer does not lie in the context, a line for each.
    """

    features: Features
    misplaced: tuple[str, ...]


def for_evaluation(asked: QuestionSet, cutter: WordPiece, options: SquadOptions) -> Features:
    """The windows of all questions."""
    return _built(asked, asked.questions, cutter, options)


def for_training(asked: QuestionSet, cutter: WordPiece, options: SquadOptions) -> TrainingFeatures:
    """The windows of the questions with the tokens of their first answers.

    As in the reference, an answer is found if it lies within the words at its place, wherever they hold it.
    """
    found, spans, misplaced = [], [], []
    words = functools.lru_cache(maxsize=1)(lambda context: words_of(asked.contexts[context]))
    for question in asked.questions:
        span = _answer_words(question, words(question.context))
        if span is None:
            misplaced.append(_misplaced(question, asked.contexts[question.context]))
        else:
            found.append(question)
            spans.append(span)
    features = _built(asked, found, cutter, options)
    answers = cutter.ids([question.answers[0].text for question in found])
    tokens = [
        _answer_tokens(features, number, span=span, answer=answer)
        for number, (span, answer) in enumerate(zip(spans, answers, strict=True))
    ]
    with_answers = dataclasses.replace(features, answers=_in_windows(features, tokens))
    return TrainingFeatures(features=with_answers, misplaced=tuple(misplaced))


def best_placed(starts: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """For each window of one context, which of its tokens have the most context there: bool [lengths[i]] each.

    The context of a token is the smaller of the numbers of tokens before and after it, plus 1 % of the window's length.
    Of equal windows the first counts.
    """
    total = int((starts + lengths).max(initial=0))
    best, owner = np.full(total, -1.0), np.full(total, -1)
    for number, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        before = np.arange(length)
        score = np.minimum(before, before[::-1]) + 0.01 * length
        here = slice(start, start + length)
        better = score > best[here]
        best[here] = np.where(better, score, best[here])
        owner[here] = np.where(better, number, owner[here])
    ends = starts + lengths
    return [owner[start:end] == number for number, (start, end) in enumerate(zip(starts, ends, strict=True))]


def _built(
    asked: QuestionSet, questions: Sequence[AskedQuestion], cutter: WordPiece, options: SquadOptions
) -> Features:
    encoded = cutter.encode(asked.contexts)
    words = [
        np.searchsorted(words_of(context).starts, [start for start, _ in found.spans], side="right") - 1
        for context, found in zip(asked.contexts, encoded, strict=True)
    ]
    contexts = _pieces([found.ids for found in encoded], np.int32)
    whole = cutter.ids([each.text for each in questions])
    cut = [ids[: options.question_length] for ids in whole]
    context_of = np.array([question.context for question in questions], np.int64)
    spans = [
        list(_spans(total, options.sequence_length - _SPECIAL_TOKENS - len(ids), options.stride))
        for total, ids in zip(contexts.sizes[context_of].tolist(), cut, strict=True)
    ]
    placed = np.array([span for of_question in spans for span in of_question], np.int64).reshape(-1, 2)
    return Features(
        classify=cutter.vocabulary.ids[CLASSIFY],
        separator=cutter.vocabulary.ids[SEPARATOR],
        contexts=contexts,
        words=_pieces(words, np.int32),
        questions=_pieces(cut, np.int32),
        truncated=sum(len(ids) > options.question_length for ids in whole),
        context_of=context_of,
        question_of=np.repeat(np.arange(len(spans)), [len(of_question) for of_question in spans]),
        starts=placed[:, 0],
        lengths=placed[:, 1],
        answers=np.zeros((len(placed), 2), np.int32),
    )


def _spans(total: int, longest: int, stride: int) -> Iterator[tuple[int, int]]:
    """The start and the length of each window of a context of `total` tokens."""
    start = 0
    while start < total:
        length = min(total - start, longest)
        yield start, length
        if start + length == total:
            break
        start += min(length, stride)


def _pieces(lists: Sequence[Sequence[int] | np.ndarray], dtype: type) -> Pieces:
    offsets = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    values = np.concatenate([np.zeros(0, dtype), *(np.asarray(each, dtype) for each in lists)])
    return Pieces(values=values, offsets=offsets)


def _answer_words(question: AskedQuestion, words: Words) -> tuple[int, int] | None:
    """The first and the last word of the answer; None if these words don't hold it."""
    answer = question.answers[0]
    first, last = words.at(answer.start), words.at(answer.start + len(answer.text) - 1)
    text = " ".join(answer.text.split())
    held = " ".join(words.texts[max(first, 0) : last + 1])
    return (first, last) if text and first >= 0 and answer.start >= 0 and text in held else None


def _misplaced(question: AskedQuestion, context: str) -> str:
    answer = question.answers[0]
    there = context[max(answer.start, 0) :][: max(len(answer.text), 1)]
    found = repr(there) if there and answer.start >= 0 else "nothing"
    return f"{question.id}: the answer {answer.text!r} is not at character {answer.start} of its context; {found} is"


def _answer_tokens(features: Features, question: int, *, span: tuple[int, int], answer: list[int]) -> tuple[int, int]:
    """The first and the last token of the answer in its context.

    Those of its words, or of the part of them that are the answer's own pieces: 1895 within "(1895-1943)".
    """
    context = int(features.context_of[question])
    ids, words = features.contexts[context], features.words[context]
    first = int(np.searchsorted(words, span[0], side="left"))
    last = int(np.searchsorted(words, span[1], side="right")) - 1
    for start in range(first, last - len(answer) + 2):
        if answer and ids[start : start + len(answer)].tolist() == answer:
            return start, start + len(answer) - 1
    return first, last


def _in_windows(features: Features, tokens: Sequence[tuple[int, int]]) -> np.ndarray:
    """The answers' tokens counted from the beginning of each window; (0, 0) where the window lacks some."""
    spans = np.array(tokens, np.int64).reshape(-1, 2)[features.question_of]
    inside = (spans[:, 0] >= features.starts) & (spans[:, 1] < features.starts + features.lengths)
    moved = spans - (features.starts - features.first_tokens)[:, None]
    return np.where(inside[:, None], moved, 0).astype(np.int32)
