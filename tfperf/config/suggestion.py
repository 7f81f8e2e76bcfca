"""What to write instead of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(received: str, accepted: Iterable[str]) -> str:
    """The nearest accepted name, if one is near, and all of them."""
    accepted = tuple(accepted)
    close = difflib.get_close_matches(received, accepted, n=1)
    return (f" Did you mean {close[0]}?" if close else "") + f" Accepted: {', '.join(accepted)}."
