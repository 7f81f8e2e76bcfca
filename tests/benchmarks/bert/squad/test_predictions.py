import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.bert.squad import golden
from tfperf.benchmarks.bert.squad import features, predictions
from tfperf.benchmarks.bert.squad.predictions import Exam, Span
from tfperf.benchmarks.bert.squad.score import score


def exam(case: dict[str, Any], **changes: int) -> Exam:
    options, cutter, asked = dataclasses.replace(golden.options(case), **changes), golden.cutter(), golden.questions()
    found = features.for_evaluation(asked, cutter, options)
    return Exam(asked=asked, features=found, cutter=cutter, options=options)


@pytest.mark.parametrize("limits", ["20/30", "5/3"])
@pytest.mark.parametrize("case", golden.CASES, ids=golden.case_id)
def test_answers_and_scores_are_those_of_the_reference(case: dict[str, Any], limits: str) -> None:
    best, longest = map(int, limits.split("/"))
    asked = exam(case, best_answers=best, answer_length=longest)
    windows = range(len(asked.features))
    spans = {
        window: predictions.best_span(golden.logits(window, asked.features.size(window)), window, asked)
        for window in windows
    }
    found = predictions.predictions(spans, asked)
    expected = case["predictions"][limits]
    assert found == expected["answers"]
    scores = score(found, asked.asked.questions)
    assert 100 * scores.f1 == pytest.approx(expected["score"]["f1"], abs=1e-9)
    assert 100 * scores.exact_match == pytest.approx(expected["score"]["exact_match"], abs=1e-9)


def test_padding_does_not_answer() -> None:
    asked = exam(golden.CASES[0])
    size = asked.features.size(3)
    logits = golden.logits(3, size)
    padded = np.concatenate([logits, np.full((7, 2), 100, np.float32)])
    assert predictions.best_span(padded, 3, asked) == predictions.best_span(logits, 3, asked)


def test_a_window_may_have_no_valid_answer() -> None:
    asked = exam(golden.CASES[0], best_answers=1)
    logits = np.zeros((asked.features.size(0), 2), np.float32)  # of equal logits the first counts: [CLS]
    assert predictions.best_span(logits, 0, asked) is None
    assert predictions.predictions({0: None}, asked) == {"q0-0": "empty"}


def test_the_best_window_of_a_question_answers_it_and_of_equal_ones_the_first() -> None:
    asked = exam(golden.CASES[2])
    first = int(asked.features.first_tokens[0])
    assert asked.features.question_of[:3].tolist() == [0, 0, 0]
    spans = {2: Span(first, first, 3.0), 1: Span(first, first, 3.0), 0: Span(first, first, 1.0)}
    assert predictions.predictions(spans, asked) == {"q0-0": predictions.answer_text(1, spans[1], asked)}


def test_a_question_without_a_window_is_answered_when_all_windows_are() -> None:
    whole = golden.questions()
    empty = dataclasses.replace(whole, contexts=(*whole.contexts[:2], ""))
    cutter, options = golden.cutter(), golden.options(golden.CASES[0])
    found = features.for_evaluation(empty, cutter, options)
    asked = Exam(asked=empty, features=found, cutter=cutter, options=options)
    everything = dict.fromkeys(range(len(found)))
    assert predictions.predictions(everything, asked) == dict.fromkeys([each.id for each in empty.questions], "empty")
    assert predictions.predictions({1: None}, asked) == {"q0-1": "empty"}


# As get_final_text of run_squad.py answers; 20,000 random texts gave the same in both.
@pytest.mark.parametrize(
    ("normal", "original", "found"),
    [
        ("steve smith", "Steve Smith's", "Steve Smith"),
        ("1895", "(1895-1943),", "1895"),
        ("cafe", "the Café.", "Café"),
        ("x", "nothing", "nothing"),
        ("", "abc", "abc"),
        ("i stanbul", "x İstanbul", "x İstanbul"),
        ("a b", "A\u00a0B c", "A\u00a0B c"),
        ("rain 漢 字", "Rain 漢字,", "Rain 漢字"),
        ("e", "\u0301e\u0301 e", "\u0301e\u0301 e"),
    ],
)
def test_projects_normal_text_back(normal: str, original: str, found: str) -> None:
    assert predictions.aligned(normal, original, lower_case=True) == found


def test_case_counts_for_a_cased_model() -> None:
    assert predictions.aligned("Smith", "smith Smith's", lower_case=False) == "Smith"
    assert predictions.aligned("smith", "Smith's", lower_case=False) == "Smith's"
