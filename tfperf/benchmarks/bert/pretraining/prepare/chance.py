"""The random numbers of the reference: those that Python 3.7's `random.Random` draws, whatever the version here."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, final


@final
class Chance:
    """A stream of random numbers.

    Python promises the same numbers from `random()` and `getrandbits()` in every version, and so far has drawn whole
    numbers and permutations from them in one way. This class does that itself, which is also faster.
    """

    def __init__(self, seed: int) -> None:
        """Starts the stream."""
        stream = random.Random(seed)
        self.share: Callable[[], float] = stream.random
        """A number from 0 to below 1."""
        self._bits = stream.getrandbits

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, as `randint` draws it."""
        count = high - low + 1
        width = count.bit_length()
        drawn = self._bits(width)
        while drawn >= count:
            drawn = self._bits(width)
        return low + drawn

    def shuffle(self, values: list[Any]) -> None:
        """Puts a list into another order."""
        bits, last = self._bits, len(values) - 1
        while last > 0:
            width = (last + 1).bit_length()
            lowest = max(1, (1 << (width - 1)) - 1)  # as long as `last + 1` has this many bits
            for place in range(last, lowest - 1, -1):
                other = bits(width)
                while other > place:
                    other = bits(width)
                values[place], values[other] = values[other], values[place]
            last = lowest - 1
