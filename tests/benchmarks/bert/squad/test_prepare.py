import pathlib

import pytest

from tests.benchmarks.bert.squad import golden
from tfperf.benchmarks.bert.squad.prepare import PreparedSquad, SquadRequest, prepare
from tfperf.errors import MissingDataError, UsageError


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A data directory with the golden questions to train on and to evaluate."""
    for name in ("train-v1.1.json", "dev-v1.1.json"):
        (tmp_path / name).write_bytes(golden.CONTENT)
    (tmp_path / "vocab.txt").write_text("\n".join(golden.GOLDEN["vocabulary"]), encoding="utf-8")
    return tmp_path


def test_keeps_the_windows_and_counts_them(folder: pathlib.Path) -> None:
    said: list[str] = []
    prepared = prepare(SquadRequest(data_dir=folder), said.append)
    note = "not the complete SQuAD v1.1: 10 evaluation windows, where MLPerf has 10,833"
    assert prepared == PreparedSquad(
        data_dir=folder,
        train_questions=10,
        train_windows=10,
        eval_questions=10,
        eval_windows=10,
        misplaced=(),
        notes=(note,),
    )
    assert said == [
        f"found {len(golden.GOLDEN['vocabulary'])} word pieces in {folder / 'vocab.txt'}",
        "found 10 training and 10 evaluation questions",
        f"note: {note}",
    ]
    assert sorted(path.name.split("-")[0] for path in (folder / "features").iterdir()) == ["evaluation", "training"]


def test_says_how_many_questions_were_cut(folder: pathlib.Path) -> None:
    request = SquadRequest(data_dir=folder, sequence_length=40, stride=8, question_length=6)
    assert prepare(request, lambda line: None).notes == ("questions cut to 6 tokens, as in the reference: 4",)


def test_sizes_that_can_not_be_used_are_refused(folder: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"^stride must be 1 or more, got 0\.$"):
        SquadRequest(data_dir=folder, stride=0)


def test_a_missing_file_is_named(folder: pathlib.Path) -> None:
    (folder / "dev-v1.1.json").unlink()
    with pytest.raises(MissingDataError, match=r"^The questions .*dev-v1\.1\.json can't be read: No such file"):
        prepare(SquadRequest(data_dir=folder), lambda line: None)


def test_a_folder_that_can_not_be_written_is_refused(folder: pathlib.Path) -> None:
    (folder / "features").write_text("in the way")
    with pytest.raises(UsageError) as caught:
        prepare(SquadRequest(data_dir=folder), lambda line: None)
    assert str(caught.value) == (
        f"The windows can't be kept in {folder / 'features'}: File exists. Pass a --data_dir that can be written."
    )
