import json
import pathlib

import pytest

from tfperf.benchmarks.text import basic_words

GOLDEN = json.loads((pathlib.Path(__file__).parents[2] / "golden" / "wordpiece.json").read_text())


@pytest.mark.parametrize("case", ["uncased", "cased"])
def test_splits_as_the_original_does(case: str) -> None:
    """The golden words are what google-research/bert's tokenization.py gives."""
    found = {each["text"]: basic_words.split(each["text"], lower_case=case == "uncased") for each in GOLDEN[case]}
    assert {text: [word.text for word in words] for text, words in found.items()} == {
        each["text"]: each["words"] for each in GOLDEN[case]
    }


def test_each_character_knows_its_place() -> None:
    text = "An I\u0307 or İ, caf\u0065\u0301!"
    found = basic_words.split(text)
    assert [(word.text, word.places) for word in found] == [
        ("an", (0, 1)),
        ("i", (3,)),
        ("or", (6, 7)),
        ("i", (9,)),
        (",", (10,)),
        ("cafe", (12, 13, 14, 15)),
        ("!", (17,)),
    ]
