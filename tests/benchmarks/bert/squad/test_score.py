import pytest

from tests.benchmarks.bert.squad import golden
from tfperf.benchmarks.bert.squad.score import AnswerScore, score, score_one
from tfperf.benchmarks.bert.squad.text import Answer, AskedQuestion
from tfperf.errors import DamagedDataError


def asked(*answers: str) -> AskedQuestion:
    return AskedQuestion(id="a", text="", context=0, answers=tuple(Answer(text, 0) for text in answers))


# What evaluate_v1.1.py gives.
@pytest.mark.parametrize(
    ("prediction", "answers", "expected"),
    [
        ("The  Cat!", ("cat",), (1, 1)),
        ("an apple a day", ("apple",), (2 / 3, 0)),
        ("10,000", ("10000",), (1, 1)),
        ("don't", ("dont",), (1, 1)),
        ("the", ("a",), (0, 1)),
        ("x", ("y", "x y", "x z w"), (2 / 3, 0)),
        ("b b a", ("b b b",), (0.8, 0)),
        ("\u201cquoted\u201d", ("quoted",), (0, 0)),
    ],
)
def test_scores_as_the_official_script_does(
    prediction: str, answers: tuple[str, ...], expected: tuple[float, float]
) -> None:
    assert score_one(prediction, asked(*answers)) == pytest.approx(AnswerScore(*expected))


def test_unanswered_and_unknown_questions_are_named() -> None:
    questions = golden.questions().questions
    with pytest.raises(DamagedDataError) as caught:
        score({question.id: "x" for question in questions[3:]} | {"other": "x"}, questions)
    assert str(caught.value) == (
        "Questions without a prediction: 3, such as q0-0, q0-1, q0-2; predictions for unknown questions: 1, such as "
        "other. Score the predictions with the questions that they were made for."
    )


def test_no_questions_score_0() -> None:
    assert score({}, []) == (0, 0)
