"""Any folder of text becomes records, with a vocabulary of its own."""

import json
import pathlib

import pytest

from tests.benchmarks.bert.pretraining.prepare import small_text
from tfperf.benchmarks.bert.pretraining.prepare import text
from tfperf.benchmarks.bert.pretraining.prepare.text_records import PreparedText
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError, UsageError


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "source/some"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}.txt").write_text(small_text.text(number, documents=15), encoding="utf-8")
    return tmp_path / "source"


def prepare(source: pathlib.Path, data_dir: pathlib.Path, *, size: int = 80, workers: int = 2) -> PreparedText:
    request = text.TextRequest(
        source=source,
        data_dir=data_dir,
        vocabulary_size=size,
        sequence_length=32,
        predictions=5,
        eval_examples=20,
        workers=workers,
    )
    return text.prepare(request, lambda line: None)


def test_text_becomes_records_and_a_vocabulary(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepared = prepare(source, tmp_path / "out")
    assert (list(prepared.train), prepared.validation, prepared.notes) == (["part-00000-of-00001"], {"eval": 20}, ())
    pieces = vocabularies.read(tmp_path / "out/vocab.txt").pieces
    assert len(pieces) == prepared.pieces == 80
    assert pieces[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    summary = json.loads((tmp_path / "out/text.json").read_text())
    assert {name: split["documents"] for name, split in summary.items()} == {"train": 29, "validation": 1}
    held_out = (tmp_path / "out/text/eval.txt").read_text(encoding="utf-8")
    assert held_out.count("\n\n") == 1
    assert held_out not in (tmp_path / "out/text/part-00000-of-00001").read_text(encoding="utf-8")


def test_the_same_text_gives_the_same_files(
    source: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_BYTES_IN_A_FILE", 3000)
    names = ["eval", "vocab.txt", "text.json", "counts.json"]
    first = prepare(source, tmp_path / "one", workers=1)
    assert len(first.train) > 2
    assert prepare(source, tmp_path / "three", workers=3).train == first.train
    assert small_text.contents(tmp_path / "one", [*names, *first.train]) == small_text.contents(
        tmp_path / "three", [*names, *first.train]
    )
    assert prepare(source, tmp_path / "one") == first


def test_folders_decide_what_is_held_out(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name in ("train", "validation"):
        (source / name).mkdir()
    (source / "some/0.txt").rename(source / "train/0.txt")
    (source / "some/1.txt").rename(source / "validation/1.txt")
    prepare(source, tmp_path / "out")
    summary = json.loads((tmp_path / "out/text.json").read_text())
    assert {name: split["documents"] for name, split in summary.items()} == {"train": 15, "validation": 15}


def test_a_vocabulary_in_the_source_is_taken(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    small_text.vocabulary_file(source)
    prepared = prepare(source, tmp_path / "out")
    assert vocabularies.read(tmp_path / "out/vocab.txt").pieces == small_text.PIECES
    assert prepared.notes == (
        f"the vocabulary has {len(small_text.PIECES)} pieces, not 80: train with "
        f"--set model.encoder.vocabulary_size={len(small_text.PIECES)}",
    )


def test_what_cannot_be_prepared_is_refused(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"^--vocabulary_size must be 6 or more, got 5.$"):
        prepare(source, tmp_path / "out", size=5)
    with pytest.raises(UsageError, match="--data_dir must not be inside --source"):
        prepare(source, source / "out")
    prepare(source, tmp_path / "out")
    with pytest.raises(UsageError, match=r"started with other arguments \(vocabulary_size: 80 then, 90 now\)"):
        prepare(source, tmp_path / "out", size=90)
    (source / "some/0.txt").unlink()
    (source / "some/1.txt").write_text("One document.\n")
    with pytest.raises(UsageError, match="holds 1 document, so none can be held out for the evaluation"):
        prepare(source, tmp_path / "other")
    for name in ("train", "validation"):
        (source / name).mkdir()
        (source / name / "a.txt").write_text("\n \n")
    with pytest.raises(DamagedDataError, match=r"train: no text in 1 files, only empty lines"):
        prepare(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()
