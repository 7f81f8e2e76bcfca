"""MLPerf's text in small becomes the reference's files, whatever happens on the way."""

import json
import pathlib
import signal
import subprocess
import sys

import pytest

from tests.benchmarks.bert.pretraining.prepare import small_text
from tfperf.benchmarks.bert.pretraining.prepare import wikipedia
from tfperf.benchmarks.bert.pretraining.prepare.text_records import PreparedText
from tfperf.benchmarks.bert.pretraining.prepare.wikipedia import WikipediaRequest
from tfperf.benchmarks.text import vocabulary as vocabularies
from tfperf.errors import DamagedDataError, MissingDataError, UsageError

NAMES = (*(f"part-{number:05d}-of-00003" for number in range(3)), "eval_10k")


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    return small_text.write_source(tmp_path / "source")


def prepare(source: pathlib.Path, data_dir: pathlib.Path, *, workers: int = 2, length: int = 32) -> PreparedText:
    request = WikipediaRequest(source=source, data_dir=data_dir, sequence_length=length, predictions=5, workers=workers)
    return wikipedia.prepare(request, lambda line: None)


def test_files_are_the_same_whatever_the_number_of_workers(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    one, three = (prepare(source, tmp_path / str(workers), workers=workers) for workers in (1, 3))
    assert small_text.contents(tmp_path / "1", NAMES) == small_text.contents(tmp_path / "3", NAMES)
    assert (one.train, one.validation) == (three.train, three.validation)
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == sorted(
        [*NAMES, ".prepare.lock", "counts.json", "prepare.jsonl", "vocab.txt"]
    )
    noted = json.loads((tmp_path / "1/counts.json").read_text())
    assert noted["vocabulary"] == {
        "pieces": len(small_text.PIECES),
        "sha256": vocabularies.read(source / "vocab.txt").digest,
    }
    assert noted["recipe"]["sequence_length"] == 32
    assert noted["bytes"] == {name: (tmp_path / "1" / name).stat().st_size for name in NAMES}


def test_says_how_the_text_differs_from_mlperfs(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    request = WikipediaRequest(source=source, data_dir=tmp_path / "out", sequence_length=32, predictions=5)
    prepared = wikipedia.prepare(request, said.append)
    count = prepared.validation["eval_10k"]
    size = sum((source / name).stat().st_size for name in (*NAMES[:3], "eval.txt"))
    assert said == [
        f"found 3 files of text for training and eval.txt, {size:,} bytes",
        "note: not MLPerf's text: 3 files, where MLPerf has 500",
        f"note: eval_10k holds {count} records, all that eval.txt gives; MLPerf picks 10,000",
    ]


KILLED = """
import os, pathlib, signal, sys
from tfperf.benchmarks.bert.pretraining.prepare import wikipedia
from tfperf.benchmarks.prepare import journal
remember = journal.remember
def remember_one(*arguments):
    remember(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
journal.remember = remember_one
source, data_dir = map(pathlib.Path, sys.argv[1:])
request = wikipedia.WikipediaRequest(source=source, data_dir=data_dir, sequence_length=32, predictions=5, workers=2)
wikipedia.prepare(request, print)
"""


def test_a_killed_preparation_is_resumed_and_ends_with_the_same_bytes(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(source), str(tmp_path / "out")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out/counts.json").exists()
    said: list[str] = []
    request = WikipediaRequest(source=source, data_dir=tmp_path / "out", sequence_length=32, predictions=5)
    resumed = wikipedia.prepare(request, said.append)
    assert "resuming: 1 of 4 files are finished" in said
    whole = prepare(source, tmp_path / "uninterrupted")
    assert small_text.contents(tmp_path / "out", (*NAMES, "counts.json")) == small_text.contents(
        tmp_path / "uninterrupted", (*NAMES, "counts.json")
    )
    assert resumed.train == whole.train


def test_unusable_texts_are_all_named_and_the_others_kept(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    good = (source / NAMES[0]).read_bytes()
    (source / NAMES[0]).write_bytes(b"a star .\n\nthe r\xffng .\n")
    (source / NAMES[2]).write_bytes(b"\n   \n\n")
    with pytest.raises(DamagedDataError) as raised:
        prepare(source, tmp_path / "out")
    assert sorted(str(raised.value).split("\n")) == sorted(
        [
            "unusable texts: 2",
            f"  {source}/{NAMES[0]}: line 3: byte 0xff is not UTF-8. Convert the file to UTF-8, or download it again.",
            f"  {source}/{NAMES[2]}: no text in 4 lines. Accepted is a sentence a line, and a blank line between "
            "documents. Remove the file, or replace it.",
            "Correct them and repeat the command: it continues from here.",
        ]
    )
    assert sorted(path.name for path in (tmp_path / "out").glob("[pe]*-*")) == [NAMES[1]]
    assert not (tmp_path / "out/counts.json").exists()
    for name in (NAMES[0], NAMES[2]):
        (source / name).write_bytes(good)
    prepare(source, tmp_path / "out")
    assert (tmp_path / "out" / NAMES[0]).read_bytes() == (tmp_path / "out" / NAMES[2]).read_bytes()


def test_a_text_that_has_changed_is_prepared_again(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(source, tmp_path / "out")
    (source / NAMES[1]).write_bytes((source / NAMES[0]).read_bytes())
    said: list[str] = []
    request = WikipediaRequest(source=source, data_dir=tmp_path / "out", sequence_length=32, predictions=5)
    wikipedia.prepare(request, said.append)
    assert "resuming: 3 of 4 files are finished" in said
    assert (tmp_path / "out" / NAMES[1]).read_bytes() == (tmp_path / "out" / NAMES[0]).read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("rm part-00001-of-00003", "{source}: 1 of 3 files are missing: part-00001-of-00003. Download them."),
        ("touch part-00000-of-00007", "{source} holds texts in 3 and 7 files. Leave those of one number there."),
        (
            "rm eval.txt",
            "{source}/eval.txt is missing: the text of the evaluation. MLPerf's comes with its files "
            "part-00000-of-00500.",
        ),
        (
            "rm vocab.txt",
            "vocab.txt is neither in {source} nor in {data_dir}. Put the one of MLPerf's checkpoint, or of "
            "bert-base-uncased, into one of them.",
        ),
        (
            "rm part-*",
            "{source} holds no file of text such as part-00000-of-00500. Accepted: part-00000-of-00500 and so on, "
            "eval.txt and vocab.txt.",
        ),
    ],
)
def test_what_is_missing_is_said(source: pathlib.Path, tmp_path: pathlib.Path, damage: str, message: str) -> None:
    subprocess.run(damage, shell=True, check=True, cwd=source)
    with pytest.raises(MissingDataError) as raised:
        prepare(source, tmp_path / "out")
    assert str(raised.value) == message.format(source=source, data_dir=tmp_path / "out")
    assert not list((tmp_path / "out").glob("[!.]*"))


def test_another_vocabulary_is_refused(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    prepare(source, tmp_path / "out")
    (source / "vocab.txt").write_text("\n".join([*small_text.PIECES, "new"]), encoding="utf-8")
    with pytest.raises(UsageError, match=r"are different vocabularies. Delete the one that does not belong."):
        prepare(source, tmp_path / "out")
    (tmp_path / "out/vocab.txt").unlink()
    with pytest.raises(UsageError, match=r"started with other arguments \(vocabulary: "):
        prepare(source, tmp_path / "out")


def test_impossible_lengths_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"^--sequence_length must be 5 or more, got 4.\n--predictions must be 1 to sequence_length=4, got 5.$",
    ):
        prepare(tmp_path, tmp_path / "out", length=4)
    with pytest.raises(UsageError, match=r"^--workers must be 1 or more, got 0.$"):
        prepare(tmp_path, tmp_path / "out", workers=0)
    with pytest.raises(UsageError, match="--data_dir must differ from --source"):
        prepare(tmp_path, tmp_path)
