"""Words as BERT's original tokenizer splits them, before it cuts them into pieces.

The rules are those of `BasicTokenizer` in google-research/bert's tokenization.py: control characters vanish, ideographs
and punctuation stand alone, and an uncased model sees lower case without accents.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_BLANK_CONTROLS = "\t\n\r"
_REPLACEMENT = "\ufffd"


class Word(NamedTuple):
    """A word, and for each of its characters the place of the character in the text that it comes from."""

    text: str
    places: tuple[int, ...]


def split(text: str, *, lower_case: bool = True) -> list[Word]:
    """The words of a text.

    Args:
        text: any text.
        lower_case: whether the model is uncased, so that case and accents don't count.
    """
    return [
        word
        for chunk in _chunks(text)
        for word in _at_punctuation(_folded(chunk) if lower_case else Word("".join(chunk.text), chunk.places))
    ]


def _chunks(text: str) -> Iterator[Word]:
    """What stands between blanks, without what never counts; an ideograph is a chunk of its own."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if _vanishes(character):
            continue
        alone = _is_ideograph(character)
        if alone or _is_blank(character):
            if characters:
                yield Word("".join(characters), tuple(places))
            characters, places = [], []
            if alone:
                yield Word(character, (place,))
        else:
            characters.append(character)
            places.append(place)
    if characters:
        yield Word("".join(characters), tuple(places))


def _folded(chunk: Word) -> Word:
    """In lower case, without accents.

    The case of a sigma depends on the letters around it, and accents change places when they are taken apart, so the
    whole chunk is folded. That gives as many characters as folding each one, which tells where they come from.
    """
    folded = _without_accents(chunk.text.lower())
    origins = [
        place
        for character, place in zip(chunk.text, chunk.places, strict=True)
        for _ in _without_accents(character.lower())
    ]
    return Word(folded, tuple(origins))


def _without_accents(text: str) -> str:
    return "".join(
        character for character in unicodedata.normalize("NFD", text) if unicodedata.category(character) != "Mn"
    )


def _at_punctuation(word: Word) -> Iterator[Word]:
    start = 0
    for at, character in enumerate(word.text):
        if _is_punctuation(character):
            yield from _between(word, start, at)
            yield from _between(word, at, at + 1)
            start = at + 1
    yield from _between(word, start, len(word.text))


def _between(word: Word, start: int, stop: int) -> Sequence[Word]:
    return (Word(word.text[start:stop], word.places[start:stop]),) if start < stop else ()


def _vanishes(character: str) -> bool:
    if character in _BLANK_CONTROLS:
        return False
    return character in "\0" + _REPLACEMENT or unicodedata.category(character) in ("Cc", "Cf")


def _is_blank(character: str) -> bool:
    return character in _BLANK_CONTROLS or character.isspace()


def _is_ideograph(character: str) -> bool:
    number = ord(character)
    return any(first <= number <= last for first, last in _IDEOGRAPHS)


def _is_punctuation(character: str) -> bool:
    """Also what ASCII has besides letters and digits, such as `$`, which Unicode calls a symbol."""
    if character.isascii():
        return not character.isalnum() and character.isprintable() and character != " "
    return unicodedata.category(character).startswith("P")
