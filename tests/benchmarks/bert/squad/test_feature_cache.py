import dataclasses
import logging
import pathlib

import numpy as np
import pytest

from tests.benchmarks.bert.squad import golden
from tests.benchmarks.bert.squad.test_features import described
from tfperf.benchmarks.bert.squad import feature_cache, features
from tfperf.benchmarks.text.vocabulary import Vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece

OPTIONS = golden.options(golden.CASES[1])


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts how often the questions are cut."""
    calls: list[str] = []
    for name in ("for_training", "for_evaluation"):

        def counted(*arguments: object, name: str = name, build: object = getattr(features, name)) -> object:
            calls.append(name)
            assert callable(build)
            return build(*arguments)

        monkeypatch.setattr(features, name, counted)
    return calls


def test_cuts_the_questions_once(tmp_path: pathlib.Path, built: list[str]) -> None:
    asked = golden.questions()
    wrong = dataclasses.replace(asked.questions[0], answers=(asked.questions[1].answers[0]._replace(start=1),))
    asked = dataclasses.replace(asked, questions=(wrong, *asked.questions[1:]))
    first, again = (feature_cache.for_training(asked, golden.cutter(), OPTIONS, data_dir=tmp_path) for _ in range(2))
    assert len(first.misplaced) == 1
    assert again.misplaced == first.misplaced
    assert described(again.features) == described(first.features)
    assert again.features.truncated == first.features.truncated
    evaluated = [feature_cache.for_evaluation(asked, golden.cutter(), OPTIONS, data_dir=tmp_path) for _ in range(2)]
    assert described(evaluated[0]) == described(evaluated[1])
    assert built == ["for_training", "for_evaluation"]
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_other_questions_options_or_tokenizers_are_cut_anew(tmp_path: pathlib.Path, built: list[str]) -> None:
    asked, cutter = golden.questions(), golden.cutter()
    swapped = Vocabulary(pieces=(*cutter.vocabulary.pieces[:5], *cutter.vocabulary.pieces[:4:-1]), name="swapped")
    cases = (
        (asked, cutter, OPTIONS),
        (dataclasses.replace(asked, digest="other"), cutter, OPTIONS),
        (asked, WordPiece(swapped), OPTIONS),
        (asked, WordPiece(cutter.vocabulary, lower_case=False), OPTIONS),
        (asked, cutter, golden.options(golden.CASES[2])),
        (asked, cutter, dataclasses.replace(OPTIONS, stride=5)),
        (asked, cutter, dataclasses.replace(OPTIONS, question_length=5)),
    )
    for case in cases:
        feature_cache.for_evaluation(*case, data_dir=tmp_path)
    assert len(built) == len(cases)
    feature_cache.for_evaluation(*cases[0], data_dir=tmp_path)
    feature_cache.for_evaluation(asked, cutter, dataclasses.replace(OPTIONS, answer_length=5), data_dir=tmp_path)
    assert len(built) == len(cases)


@pytest.mark.parametrize("damage", ["truncated", "garbled", "empty", "of another key"])
def test_a_damaged_file_is_written_again(
    tmp_path: pathlib.Path, built: list[str], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked, cutter = golden.questions(), golden.cutter()
    first = feature_cache.for_evaluation(asked, cutter, OPTIONS, data_dir=tmp_path)
    (path,) = (tmp_path / "features").iterdir()
    content = path.read_bytes()
    if damage == "of another key":
        feature_cache.for_evaluation(dataclasses.replace(asked, digest="other"), cutter, OPTIONS, data_dir=tmp_path)
        (other,) = {*(tmp_path / "features").iterdir()} - {path}
        other.replace(path)
    else:
        path.write_bytes({"truncated": content[:-100], "garbled": b"PK" + content[9:900], "empty": b""}[damage])
    again = feature_cache.for_evaluation(asked, cutter, OPTIONS, data_dir=tmp_path)
    assert described(again) == described(first)
    assert path.read_bytes()[:2] == b"PK"
    with np.load(path) as file:
        assert set(file.files) >= {"key", "contexts/values", "starts"}


def test_a_folder_that_can_not_be_written_is_said_once_and_does_no_harm(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "features").write_text("in the way")
    with caplog.at_level(logging.WARNING, logger="absl"):
        found = [
            feature_cache.for_evaluation(golden.questions(), golden.cutter(), OPTIONS, data_dir=tmp_path)
            for _ in range(2)
        ]
    assert described(found[0]) == described(found[1])
    assert [record.getMessage() for record in caplog.records] == [
        f"The windows of the questions can't be kept in {tmp_path / 'features'} (File exists), so each run cuts the "
        "questions again."
    ]


def test_without_a_folder_nothing_is_kept(built: list[str]) -> None:
    for _ in range(2):
        feature_cache.for_evaluation(golden.questions(), golden.cutter(), OPTIONS, data_dir=None)
    assert len(built) == 2
