"""The response to a window, the logits of its tokens, and how responses are scored: F1 as accuracy-squad.py has it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import json_text
from tfperf.benchmarks.benchmark import OpenSamples, Ragged, Respond, Scoring
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.squad import features, text
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.predictions import Exam, Span, best_span, predictions
from tfperf.benchmarks.bert.squad.score import AnswerScore
from tfperf.benchmarks.bert.squad.score import score as score_answers
from tfperf.benchmarks.tensor import Batch
from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece
from tfperf.errors import TfperfError

ACCURACY = "accuracy.txt"
PREDICTIONS = "predictions.json"
QUESTIONS = "questions.json"
VOCABULARY = "vocab.txt"

# `--output_dtype float32` of accuracy-squad.py (language/bert of mlcommons/inference): start and end of each token in
# turn. It fills missing tokens up to 384 with -10000, so a response has the tokens of its window and no padding.
_LOGIT = np.dtype("<f4")
_LOGITS_OF_A_TOKEN = 2
_WINDOWS = "windows"
_MOST = 1_000_000
_WINDOW_OPTIONS = ("sequence_length", "stride", "question_length", "best_answers", "answer_length")


def responder(samples: OpenSamples) -> Respond:
    """How outputs become responses: each cut to the tokens of its window."""
    sizes = _exam(samples).features
    tokens = (sizes.first_tokens + sizes.lengths + 1).tolist()

    def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray | Ragged:
        (logits,) = outputs
        rows = [np.asarray(row[: tokens[index]], _LOGIT) for row, index in zip(logits, indices, strict=True)]
        buffer = rows[0].reshape(1, -1) if len(rows) == 1 else np.concatenate(rows)
        if not np.isfinite(buffer).all():
            raise _not_finite(rows)
        if len(rows) == 1:
            return np.ascontiguousarray(buffer)
        ends = np.cumsum([0, *(row.nbytes for row in rows)], dtype=np.int64)
        return Ragged(buffer, ends)

    return respond


def score(responses: Mapping[int, bytes], samples: OpenSamples) -> float:
    """F1, from 0 to 1, over the questions that have a response to one of their windows.

    Args:
        responses: the number of a window -> the bytes of the responder.
        samples: the samples that these numbers count.

    Raises:
        ValueError: there is no response, or one of another size than its window's, not finite, or of no window.
    """
    return _score(responses, _exam(samples))[0].f1


def write(directory: pathlib.Path, responses: Mapping[int, bytes], samples: OpenSamples, quality: float) -> None:
    """Writes what accuracy-squad.py writes and prints, and what it reads: the questions and the vocabulary."""
    exam = _exam(samples)
    scores, answers = _score(responses, exam)
    line = json.dumps({"exact_match": 100 * scores.exact_match, "f1": 100 * quality})
    windows = {
        **{name: getattr(exam.options, name) for name in _WINDOW_OPTIONS},
        "lower_case": exam.cutter.lower_case,
    }
    (directory / ACCURACY).write_text(f"{line}\n", encoding="utf-8")
    (directory / PREDICTIONS).write_text(json.dumps(answers, indent=4) + "\n", encoding="utf-8")
    (directory / QUESTIONS).write_text(text.to_json(exam.asked, **{_WINDOWS: windows}), encoding="utf-8")
    pieces = "".join(f"{piece}\n" for piece in exam.cutter.vocabulary.pieces)
    (directory / VOCABULARY).write_text(pieces, encoding="utf-8", newline="\n")


def recompute(directory: pathlib.Path, responses: Mapping[int, bytes]) -> float:
    """F1 by the questions and the vocabulary that `write` wrote.

    Raises:
        OSError: a file can't be read.
        ValueError: as in `score`, or a file does not hold what it must.
    """
    content = (directory / QUESTIONS).read_bytes()
    found = json_text.parse(content)
    windows = found.get(_WINDOWS) if isinstance(found, dict) else None
    if not isinstance(windows, dict) or {*_WINDOW_OPTIONS, "lower_case"} - windows.keys():
        raise ValueError(f"{QUESTIONS} does not say how its questions were cut into windows.")
    options = _options(windows)
    try:
        asked = text.parse(content, name=QUESTIONS)
        cutter = WordPiece(vocabulary.read(directory / VOCABULARY), lower_case=windows["lower_case"] is True)
    except TfperfError as error:
        raise ValueError(str(error)) from error
    exam = Exam(asked=asked, features=features.for_evaluation(asked, cutter, options), cutter=cutter, options=options)
    return _score(responses, exam)[0].f1


def agreement(response: bytes, reference: bytes) -> float:
    """How much the best spans of both overlap, as F1 counts it: 2 x shared tokens / tokens of both.

    That bounds what the difference costs in F1. The spans are the best by the logits alone, of at most the default
    number of tokens, since a response does not say where its context begins.
    """
    (start, end), (other_start, other_end) = _likeliest(response), _likeliest(reference)
    shared = max(0, min(end, other_end) - max(start, other_start) + 1)
    return 2 * shared / (end - start + other_end - other_start + 2)


SCORING = Scoring(
    score=score,
    write=write,
    files=(ACCURACY, PREDICTIONS, QUESTIONS, VOCABULARY),
    agreement=agreement,
    recompute=recompute,
)


def _exam(samples: OpenSamples) -> Exam:
    exam = samples.labels()
    assert isinstance(exam, Exam)
    return exam


def _score(responses: Mapping[int, bytes], exam: Exam) -> tuple[AnswerScore, dict[str, str]]:
    spans = {number: _span(responses[number], number, exam) for number in _numbers(responses, exam)}
    answers = predictions(spans, exam)
    return score_answers(answers, exam.questions(spans)), answers


def _numbers(responses: Mapping[int, bytes], exam: Exam) -> list[int]:
    total = len(exam.features)
    if not responses:
        raise ValueError(f"None of {total:,} windows has a response. Run the accuracy run again.")
    numbers = sorted(responses)
    outside = [number for number in numbers if not 0 <= number < total]
    if outside:
        raise ValueError(
            f"There is a response to window {outside[0]}, and windows have the numbers 0 to {total - 1}. Pass the "
            "responses and the questions of one data set."
        )
    return numbers


def _span(response: bytes, number: int, exam: Exam) -> Span | None:
    size = exam.features.size(number)
    expected = size * _LOGITS_OF_A_TOKEN * _LOGIT.itemsize
    if len(response) != expected:
        raise ValueError(
            f"The response to window {number} must be {expected:,} bytes, two float32 for each of its {size} tokens; "
            f"got {len(response):,}."
        )
    logits = _logits(response)
    if not np.isfinite(logits).all():
        raise ValueError(f"The response to window {number} holds a number that is not finite.")
    return best_span(logits, number, exam)


def _logits(response: bytes) -> np.ndarray:
    return np.frombuffer(response, _LOGIT).reshape(-1, _LOGITS_OF_A_TOKEN)


def _likeliest(response: bytes) -> tuple[int, int]:
    """The first and the last token of the span with the highest sum of logits."""
    logits = _logits(response).astype(np.float64)
    longest, count = SquadOptions.answer_length, len(logits)
    ends = np.arange(count)[:, None] + np.arange(longest)  # each start with the ends that it may have
    sums = logits[:, :1] + np.where(ends < count, logits[np.minimum(ends, count - 1), 1], -np.inf)
    start, more = divmod(int(sums.argmax()), longest)
    return start, start + more


def _options(windows: Mapping[str, Any]) -> SquadOptions:
    values = {name: windows[name] for name in _WINDOW_OPTIONS}
    if not all(isinstance(value, int) and 0 < value <= _MOST for value in values.values()):
        raise ValueError(f"{QUESTIONS}: {', '.join(_WINDOW_OPTIONS)} must be whole numbers from 1, got {values}.")
    return SquadOptions(encoder=Encoder(max_positions=values["sequence_length"]), **values)


def _not_finite(rows: Sequence[np.ndarray]) -> ValueError:
    wrong = [number for number, row in enumerate(rows) if not np.isfinite(row).all()]
    return ValueError(
        f"The model's logits must be finite numbers; those of {len(wrong)} of {len(rows)} samples of the batch are "
        f"not, first of sample {wrong[0]}. Use another precision, or other weights."
    )
