"""What to write instead of what was received."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_MOST_SHOWN = 200


def suggest(received: str, accepted: Iterable[str]) -> str:
    """The nearest accepted name, if one is near, and all of them."""
    accepted = tuple(accepted)
    close = difflib.get_close_matches(received, accepted, n=1)
    return (f" Did you mean {close[0]}?" if close else "") + f" Accepted: {', '.join(accepted)}."


def shown(received: Any) -> str:
    """What was received, short enough for a message: text as it is, other values as Python writes them."""
    text = received if isinstance(received, str) else repr(received)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(text):,} characters)"
