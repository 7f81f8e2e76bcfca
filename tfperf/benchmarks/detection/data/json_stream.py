"""Reads the arrays of a large JSON file element by element, in memory that doesn't grow with the file."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Collection, Iterator
from typing import Any, TextIO

from tfperf import json_text

_CHUNK = 1 << 20  # characters
_LARGEST = 64 << 20  # characters of one value
_LONGEST_NUMBER = 1000
_AFTER_NUMBER = frozenset(",]} \t\r\n")


def elements(path: pathlib.Path, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Each element of the arrays with these names in the object that the file holds, with the name of its array.

    Other members of the object are read and passed over. The time is linear in the size of the file.

    Raises:
        ValueError: the file is not JSON or not an object, one of these members is no array, or a single value is larger
            than 64 million characters.
        OSError: the file can't be read.
    """
    with path.open(encoding="utf-8-sig") as file:
        text = _Text(file)
        text.expect("{")
        while text.take_separator("}"):
            name = text.value()
            if not isinstance(name, str):
                raise ValueError(f"a name was expected before character {text.place:,}, got {name!r}")
            text.expect(":")
            if text.next() == "[":
                for element in _array(text):
                    if name in names:
                        yield name, element
            elif name in names:
                raise ValueError(f"{name} must be an array")
            else:
                text.value()
        if text.next():
            raise ValueError(f"there is more after its end at character {text.place:,}")


def _array(text: _Text) -> Iterator[Any]:
    text.expect("[")
    while text.take_separator("]"):
        yield text.value()


class _Text:
    """The rest of a file, of which a part is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder(parse_int=json_text.whole_number)
        self._text, self._at = "", 0
        self._before = 0  # characters before `_text`
        self._opened = True  # whether an array or object was opened just now, so that no comma comes next

    @property
    def place(self) -> int:
        """The number of characters before the next one."""
        return self._before + self._at

    def next(self) -> str:
        """The next character that is no white space; nothing at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def expect(self, wanted: str) -> None:
        """Takes the next character, which must be this one."""
        found = self.next()
        if found != wanted:
            got = repr(found) if found else "the end of the file"
            raise ValueError(f"{wanted!r} was expected at character {self.place:,}, got {got}")
        self._at += 1
        self._opened = wanted in "[{"

    def take_separator(self, end: str) -> bool:
        """Takes the comma before the next element, or `end` after the last; whether there is a next element."""
        if self.next() == end:
            self._at += 1
            self._opened = False
            return False
        if not self._opened:
            self.expect(",")
        self._opened = False
        return True

    def value(self) -> Any:
        """Takes a whole value."""
        self.next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except RecursionError as error:
                raise ValueError("it is nested too deeply") from error
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > _LARGEST:
                    raise ValueError(f"the value at character {self.place:,} has no end within 64 MB") from error
                if not self._more():
                    raise ValueError(f"{error.msg} at character {self._before + error.pos:,}") from error
                continue
            if self._is_whole(value, end) or not self._more():
                self._at = end
                return value

    def _is_whole(self, value: Any, end: int) -> bool:
        """Whether a value that ends here can't go on in what was not read yet, as the digits of a number may."""
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return not is_number or len(self._text) > end + _LONGEST_NUMBER or self._text[end : end + 1] in _AFTER_NUMBER

    def _more(self) -> bool:
        """Reads on, as much again as is left: what a long value costs stays linear in its length."""
        rest = len(self._text) - self._at
        read = self._file.read(max(_CHUNK, rest))
        if read:
            self._before += self._at
            self._text, self._at = self._text[self._at :] + read, 0
        return bool(read)
