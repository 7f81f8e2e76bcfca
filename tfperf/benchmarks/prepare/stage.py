"""Says what a preparation does, and every half minute that it still does it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tfperf import sign_of_life

Say = Callable[[str], None]

_EVERY_S = 30.0


@contextlib.contextmanager
def stage(doing: str, say: Say, *, at_once: bool = True) -> Iterator[None]:
    """Says what the block does, and then every 30 seconds that it still does it.

    Args:
        doing: what the block does, such as `reading the text`.
        say: takes each line; it is also called from another thread.
        at_once: whether to say it when the block begins, too. Blocks that mostly take a moment don't.
    """
    if at_once:
        say(doing)
    with sign_of_life.every(_EVERY_S, lambda passed_s: say(f"still {doing}, for {passed_s:.0f} s now")):
        yield
