import json
import pathlib
from typing import Any

import pytest

from tests.benchmarks.bert.squad import golden
from tfperf.benchmarks.bert.squad import text
from tfperf.benchmarks.bert.squad.text import Answer, AskedQuestion
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

LAYOUT = (
    'Download the file again, or convert it: {"data": [{"paragraphs": [{"context": TEXT, "qas": [{"id": TEXT, '
    '"question": TEXT, "answers": [{"text": TEXT, "answer_start": CHARACTER}]}]}]}]}.'
)


def one(**changes: Any) -> dict[str, Any]:
    """A file with one question."""
    asked = {"id": "a", "question": "Who?", "answers": [{"text": "he", "answer_start": 0}]} | changes
    return {"data": [{"paragraphs": [{"context": "he was", "qas": [asked]}]}]}


def test_reads_questions_in_the_order_of_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dev-v1.1.json"
    path.write_bytes(golden.CONTENT)
    found = text.read(path)
    assert found.name == str(path)
    assert [question.id for question in found.questions] == [
        f"q{c}-{q}" for c, n in enumerate((5, 3, 2)) for q in range(n)
    ]
    assert found.questions[5] == AskedQuestion(
        id="q1-0", text="Which country's exports?", context=1, answers=(Answer("Japan", 0),)
    )
    assert found.contexts[2] == "Rain.  Rain 漢字 and snow\u200b fell."


def test_writes_what_it_reads() -> None:
    found = golden.questions()
    written = text.to_json(found, windows={"stride": 1})
    again = text.parse(written.encode(), name=found.name)
    assert (again.contexts, again.questions) == (found.contexts, found.questions)
    assert json.loads(written)["windows"] == {"stride": 1}


def test_words_stand_between_the_blanks_of_the_reference() -> None:
    found = text.words_of(" a\u00a0b\u202fc\t\n d")
    assert found.texts == ["a\u00a0b", "c", "d"]
    assert [found.at(character) for character in range(10)] == [-1, 0, 0, 0, 0, 1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b'{"data": [',
            "q.json is not JSON: Expecting value: line 1 column 11 (char 10). Download the file again.",
            id="truncated",
        ),
        pytest.param(b'{"data": "\xff"}', "q.json: byte 0xff at 10 is not UTF-8. Download the file again.", id="UTF-8"),
        pytest.param(
            b"version https://git-lfs.github.com/spec/v1\n",
            "q.json is a Git LFS pointer, not questions. Run git lfs pull where it comes from, and copy the file.",
            id="a pointer",
        ),
        *(
            pytest.param(
                json.dumps(content).encode(),
                f"q.json is not in the layout of SQuAD v1.1: {defect}. {LAYOUT}",
                id=defect,
            )
            for content, defect in (
                ([], "it must hold an object, got list"),
                ({}, "data must be a list, got nothing"),
                ({"data": []}, "it has no questions"),
                ({"data": [3]}, "data[0] must be an object, got int"),
                ({"data": [{}]}, "data[0].paragraphs must be a list, got nothing"),
                (
                    {"data": [{"paragraphs": [{"qas": []}]}]},
                    "data[0].paragraphs[0].context must be a string, got nothing",
                ),
                (one(id=5), "data[0].paragraphs[0].qas[0].id must be a string, got 5"),
                (one(question=None), "data[0].paragraphs[0].qas[0].question must be a string, got nothing"),
                (one(answers={}), "data[0].paragraphs[0].qas[0].answers must be a list, got {}"),
                (
                    one(answers=[{"text": "he", "answer_start": True}]),
                    "data[0].paragraphs[0].qas[0].answers[0].answer_start must be a whole number, got True",
                ),
                (
                    {"data": [*one()["data"], *one()["data"]]},
                    "1 ids belong to several questions, 'a'",
                ),
            )
        ),
    ],
)
def test_says_what_is_wrong_with_a_file(content: bytes, message: str) -> None:
    with pytest.raises(DamagedDataError) as caught:
        text.parse(content, name="q.json")
    assert str(caught.value) == message


@pytest.mark.parametrize("changes", [{"answers": []}, {"is_impossible": True}])
def test_questions_of_squad_2_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        text.parse(json.dumps(one(**changes)).encode(), name="dev-v2.0.json")
    assert str(caught.value) == (
        "1 of 1 questions in dev-v2.0.json have no answer, a. That is SQuAD 2.0; MLPerf's task is v1.1, where each has "
        "one. Take the files train-v1.1.json and dev-v1.1.json."
    )


def test_a_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        text.read(tmp_path / "dev-v1.1.json")
    assert str(caught.value) == (
        f"The questions {tmp_path / 'dev-v1.1.json'} can't be read: No such file or directory. Download SQuAD v1.1 to "
        "that place."
    )


@pytest.mark.data
def test_real_questions_of_squad_2_are_refused(shared_data: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"^3,168 of 6,078 questions in .*cs224n-dev-v2.0.json have no answer, "):
        text.read(shared_data / "squad-xquad" / "cs224n-dev-v2.0.json")
