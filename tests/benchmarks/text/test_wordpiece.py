import json
import pathlib
import random

import pytest

from tfperf.benchmarks.text import vocabulary, wordpiece
from tfperf.benchmarks.text.vocabulary import SPECIAL, Vocabulary
from tfperf.benchmarks.text.wordpiece import Encoded, WordPiece

GOLDEN = json.loads((pathlib.Path(__file__).parents[2] / "golden" / "wordpiece.json").read_text())
SMALL = Vocabulary(pieces=tuple(GOLDEN["vocabulary"]), name="golden")


@pytest.mark.parametrize("case", ["uncased", "cased"])
def test_cuts_as_the_original_does(case: str) -> None:
    """The golden pieces are what google-research/bert's tokenization.py gives with the golden vocabulary."""
    cutter = WordPiece(SMALL, lower_case=case == "uncased")
    texts = [each["text"] for each in GOLDEN[case]]
    expected = {each["text"]: [SMALL.ids[piece] for piece in each["pieces"]] for each in GOLDEN[case]}
    assert dict(zip(texts, cutter.ids(texts), strict=True)) == expected
    assert {text: found.ids for text, found in zip(texts, cutter.encode(texts), strict=True)} == expected
    assert {text: cutter._in_python(text).ids for text in texts} == expected


@pytest.mark.parametrize("lower_case", [True, False])
def test_the_library_is_exact_for_every_character_that_it_is_trusted_with(lower_case: bool) -> None:
    cutter = WordPiece(SMALL, lower_case=lower_case)
    trusted = [chr(number) for number in range(0x110000) if not wordpiece._INEXACT.match(chr(number))]
    assert len(trusted) == 36030
    texts = [
        "".join(f"{character} a{character}b " for character in trusted[first : first + 10])
        for first in range(0, len(trusted), 10)
    ]
    different = [
        text for text, found in zip(texts, cutter.encode(texts), strict=True) if not agrees(cutter, text, found)
    ]
    assert different == []


def agrees(cutter: WordPiece, text: str, found: Encoded) -> bool:
    """Whether the library gave the pieces that Python gives."""
    return found.ids == cutter._in_python(text).ids


def test_both_ways_give_the_same_pieces_and_places() -> None:
    cutter = WordPiece(SMALL)
    draw = random.Random(7)
    alphabet = [*"abcdefghij  ,.'-", "é", "Ü", "—", "漢", "\u0301", "\t", "\x07", "İ"]
    texts = ["".join(draw.choices(alphabet, k=draw.randint(0, 40))) for _ in range(1000)]
    different = [
        text
        for text, found in zip(texts, cutter.encode(texts), strict=True)
        if found.ids != cutter._in_python(text).ids
        or [start for start, _ in found.spans] != [start for start, _ in cutter._in_python(text).spans]
    ]
    assert different == []


def test_spans_lead_back_to_the_text() -> None:
    cutter = WordPiece(Vocabulary(pieces=(*SPECIAL, "cafe", "un", "##aff", "##able", ",", "\u03c3", "##ς"), name="few"))
    text = "Unaffable, CAFÉ x ΣΣ"
    (found,) = cutter.encode([text])
    assert [(cutter.vocabulary.pieces[number], text[slice(*span)]) for number, span in zip(*found, strict=True)] == [
        ("un", "Un"),
        ("##aff", "aff"),
        ("##able", "able"),
        (",", ","),
        ("cafe", "CAFÉ"),
        ("[UNK]", "x"),
        ("\u03c3", "Σ"),
        ("##ς", "Σ"),
    ]


def test_no_text_has_no_pieces() -> None:
    cutter = WordPiece(SMALL)
    assert cutter.ids([]) == []
    assert cutter.encode(["", " \u200b"]) == [([], []), ([], [])]


def test_other_pieces_or_another_case_are_another_fingerprint() -> None:
    other = Vocabulary(pieces=(*SMALL.pieces, "more"), name="golden")
    cutters = (WordPiece(SMALL), WordPiece(other), WordPiece(SMALL, lower_case=False))
    assert len({cutter.fingerprint for cutter in cutters}) == 3
    assert WordPiece(SMALL).fingerprint == cutters[0].fingerprint


@pytest.mark.data
def test_cuts_all_questions_of_squad_as_the_original_does(shared_data: pathlib.Path) -> None:
    found = vocabulary.read(shared_data / "bert-vocab" / "bert-base-uncased-vocab.txt")
    golden = json.loads((shared_data / "wordpiece-golden" / "question_tokens.json").read_text())
    ids = json.loads((shared_data / "wordpiece-golden" / "question_ids.json").read_text())
    assert len(golden) == 10570
    assert WordPiece(found).ids([each["original"] for each in golden]) == ids
    cutter = WordPiece(found)
    assert [cutter._in_python(each["original"]).ids for each in golden] == ids
