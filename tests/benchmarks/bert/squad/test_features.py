import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.bert.squad import golden
from tfperf.benchmarks.bert.squad import features, text
from tfperf.benchmarks.bert.squad.features import Features
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.text import vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece


def described(found: Features) -> list[dict[str, Any]]:
    """Each window as in the golden file."""
    best = [tokens for question in range(len(found.context_of)) for tokens in found.best_placed(question)]
    return [
        {
            "question": int(found.question_of[window]),
            "ids": found.window(window)[0].tolist(),
            "segments": found.window(window)[2].tolist(),
            "words": found.word_numbers(window).tolist(),
            "best_placed": best[window].astype(int).tolist(),
            "answer": found.answers[window].tolist(),
        }
        for window in range(len(found))
    ]


@pytest.mark.parametrize("case", golden.CASES, ids=golden.case_id)
def test_windows_are_those_of_the_reference(case: dict[str, Any]) -> None:
    options = golden.options(case)
    found = features.for_training(golden.questions(), golden.cutter(), options)
    assert found.misplaced == ()
    assert described(found.features) == case["windows"]
    without = [window | {"answer": [0, 0]} for window in case["windows"]]
    assert described(features.for_evaluation(golden.questions(), golden.cutter(), options)) == without


def test_the_mask_covers_the_window_and_a_batch_is_padded_with_0() -> None:
    found = features.for_evaluation(golden.questions(), golden.cutter(), golden.options(golden.CASES[0]))
    sizes = [found.size(window) for window in range(len(found))]
    ids, mask, segments = found.batch(range(len(found)), 128)
    assert [array.dtype for array in (ids, mask, segments)] == [np.int32] * 3
    assert mask.sum(axis=1).tolist() == sizes
    for window, size in enumerate(sizes):
        for array, part in zip((ids, mask, segments), found.window(window), strict=True):
            assert array[window].tolist() == [*part.tolist(), *[0] * (128 - size)]


def test_counts_the_questions_that_were_cut() -> None:
    short, long = (
        features.for_evaluation(golden.questions(), golden.cutter(), golden.options(golden.CASES[number]))
        for number in (0, 1)
    )
    assert (short.truncated, long.truncated) == (0, 2)
    assert max(long.questions.sizes) == 6


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        pytest.param(
            {"text": "Smith", "answer_start": 40},
            "q0-0: the answer 'Smith' is not at character 40 of its context; ' born' is",
            id="elsewhere",
        ),
        pytest.param(
            {"text": "Smith", "answer_start": 4000},
            "q0-0: the answer 'Smith' is not at character 4000 of its context; nothing is",
            id="after the end",
        ),
        pytest.param(
            {"text": "Smith", "answer_start": -1},
            "q0-0: the answer 'Smith' is not at character -1 of its context; nothing is",
            id="before the beginning",
        ),
        pytest.param(
            {"text": "", "answer_start": 5},
            "q0-0: the answer '' is not at character 5 of its context; 'l' is",
            id="empty",
        ),
    ],
)
def test_leaves_out_and_names_questions_whose_answer_is_not_there(answer: dict[str, Any], line: str) -> None:
    content = json.loads(golden.CONTENT)
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"] = [answer]
    asked = text.parse(json.dumps(content).encode(), name="golden.json")
    found = features.for_training(asked, golden.cutter(), golden.options(golden.CASES[0]))
    assert found.misplaced == (line,)
    assert [window | {"question": window["question"] + 1} for window in described(found.features)] == [
        window for window in golden.CASES[0]["windows"] if window["question"]
    ]


def test_an_answer_may_be_anywhere_within_its_words() -> None:
    """As in the reference: 1895 is found in "(1895-1943)," from each of its characters."""
    content = json.loads(golden.CONTENT)
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] -= 1
    asked = text.parse(json.dumps(content).encode(), name="golden.json")
    found = features.for_training(asked, golden.cutter(), golden.options(golden.CASES[0]))
    assert found.misplaced == ()
    assert described(found.features) == golden.CASES[0]["windows"]


def test_a_context_without_a_token_has_no_window() -> None:
    asked = golden.questions()
    empty = dataclasses.replace(asked, contexts=(asked.contexts[0], " \u200b", asked.contexts[2]))
    found = features.for_evaluation(empty, golden.cutter(), golden.options(golden.CASES[0]))
    assert np.diff(found.windows_of).tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    assert found.best_placed(5) == []


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "windows", "digest"),
    [
        ("xquad.en.json", 1232, "29f9a6c1739a1bd12e362d1631ae61ca52853c5e7c152d6ba6c783fad8376c33"),
        ("squad-small-eval-v1.1.json", 848, "dbf21f82994f26653a569861556d8a2f1d5ea8e7046cf13535db04e3c5e57943"),
    ],
)
def test_windows_of_real_questions_are_those_of_the_reference(
    shared_data: pathlib.Path, name: str, windows: int, digest: str
) -> None:
    """The digests are those of what MLPerf's create_squad_data.py gives with google-research/bert's tokenizer."""
    cutter = WordPiece(vocabulary.read(shared_data / "bert-vocab" / "bert-base-uncased-vocab.txt"))
    asked = text.read(shared_data / "squad-xquad" / name)
    found = described(features.for_training(asked, cutter, SquadOptions()).features)
    keys = ("ids", "segments", "words", "best_placed", "answer")
    lines = [json.dumps([window[key] for key in keys]) + "\n" for window in found]
    assert len(found) == windows
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == digest
