"""Reads JSON that may come from anywhere."""

from __future__ import annotations

import json
from typing import Any

_MOST_DIGITS = 300  # a float has at most 309


def parse(text: str | bytes) -> Any:
    """The value that a JSON text holds.

    Raises:
        ValueError: the text is not JSON, is nested deeper than Python can read, or holds a number no float can.
    """
    try:
        return json.loads(text, parse_int=whole_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def whole_number(digits: str) -> int:
    """The number that these digits make.

    Raises:
        ValueError: they are more than a float can hold.
    """
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"{digits[:12]}... with {len(digits.lstrip('-')):,} digits is not a number that can be used")
    return int(digits)
