"""F1 and exact match of answers, as the official evaluate-v1.1.py of SQuAD computes them."""

from __future__ import annotations

import collections
import re
import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfperf.benchmarks.bert.squad.text import AskedQuestion
from tfperf.errors import DamagedDataError

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NAMES_IN_A_MESSAGE = 5


class AnswerScore(NamedTuple):
    """How good answers are, from 0 to 1."""

    f1: float
    exact_match: float


def score(predictions: Mapping[str, str], questions: Sequence[AskedQuestion]) -> AnswerScore:
    """The means over the questions, each by the accepted answer that is closest; 0 for no questions.

    Args:
        predictions: the answer to each question, by its id.
        questions: the questions.

    Raises:
        DamagedDataError: a question has no prediction, or a prediction no question. The official script counts the
            first as 0 and ignores the second.
    """
    known = {question.id for question in questions}
    unanswered = [question.id for question in questions if question.id not in predictions]
    unknown = [name for name in predictions if name not in known]
    if unanswered or unknown:
        raise DamagedDataError(
            "; ".join(
                f"{what}: {len(names):,}, such as {', '.join(names[:_NAMES_IN_A_MESSAGE])}"
                for what, names in (
                    ("Questions without a prediction", unanswered),
                    ("predictions for unknown questions", unknown),
                )
                if names
            )
            + ". Score the predictions with the questions that they were made for."
        )
    scores = [score_one(predictions[question.id], question) for question in questions]
    total = max(len(scores), 1)
    return AnswerScore(
        f1=sum(each.f1 for each in scores) / total, exact_match=sum(each.exact_match for each in scores) / total
    )


def score_one(prediction: str, question: AskedQuestion) -> AnswerScore:
    """The best F1 and the best exact match of one prediction over the accepted answers."""
    found = _normal(prediction)
    accepted = [_normal(answer.text) for answer in question.answers]
    return AnswerScore(
        f1=max(_f1(found.split(), answer.split()) for answer in accepted),
        exact_match=max(float(found == answer) for answer in accepted),
    )


def _normal(text: str) -> str:
    """In lower case, without punctuation and articles, single blanks between words."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _f1(found: Sequence[str], accepted: Sequence[str]) -> float:
    shared = (collections.Counter(found) & collections.Counter(accepted)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(found), shared / len(accepted)
    return 2 * precision * recall / (precision + recall)
