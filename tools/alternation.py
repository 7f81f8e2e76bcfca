"""Times two calls that alternate, for the benches: what slows one round slows both."""

from __future__ import annotations

import time
from collections.abc import Callable


def timed_pairs(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> list[tuple[float, float]]:
    """Seconds of (ours, theirs) in each round; who goes first alternates, and a warm-up round is left out."""
    pairs = []
    for number in range(rounds + 1):
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        times = {first: _seconds(first), second: _seconds(second)}
        pairs.append((times[ours], times[theirs]))
    return pairs[1:]


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
