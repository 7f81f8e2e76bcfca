"""Plain text is split into documents and sentences."""

import pathlib

import pytest

from tfperf.benchmarks.bert.pretraining.prepare import plain_text
from tfperf.errors import DamagedDataError, MissingDataError


def test_blank_lines_end_documents_and_marks_end_sentences(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text('\n\nOne. Two? "Three!" Four\nfive 3.5 six .\n \nSeven\u2026\r\n', encoding="utf-8")
    assert list(plain_text.split(path)) == [
        ["One.", "Two?", '"Three!"', "Four", "five 3.5 six ."],
        ["Seven\u2026"],
    ]


def test_titles_end_the_documents_of_wikitext(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "wiki.test.tokens"
    path.write_text(
        " \n = One = \n \n A first . A second . \n \n = = Part = = \n \n A third . \n \n = Two = \n \n A = b . \n",
        encoding="utf-8",
    )
    assert list(plain_text.split(path)) == [["A first .", "A second .", "A third ."], ["A = b ."]]


def test_files_are_found_by_their_names(tmp_path: pathlib.Path) -> None:
    for name in ("b.txt", "a/c.tokens", "a/d.md", ".hidden/e.txt", "vocab.txt", "a/.f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert plain_text.files(tmp_path) == [tmp_path / "a/c.tokens", tmp_path / "b.txt"]


def test_what_holds_no_text_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(MissingDataError, match=r"holds no text. Accepted are files ending in .txt or .tokens.$"):
        plain_text.files(tmp_path)
    with pytest.raises(MissingDataError, match=r"got .*/nowhere, which is not a folder.$"):
        plain_text.files(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_bytes(b"\xe9")
    with pytest.raises(DamagedDataError, match="line 1: byte 0xe9 is not UTF-8"):
        list(plain_text.split(tmp_path / "a.txt"))
