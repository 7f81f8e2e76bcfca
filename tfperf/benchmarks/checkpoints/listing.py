"""How names that don't fit are listed in a message."""

from __future__ import annotations

from collections.abc import Iterable

_MOST_NAMED = 8


def listed(what: str, found: Iterable[str]) -> tuple[str, ...]:
    """One sentence with the first names and the number of the others; nothing if there are none.

    Args:
        what: is the matter with them.
        found: the names.
    """
    names = list(found)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (f"{what}: {', '.join(names[:_MOST_NAMED])}{more}.",) if names else ()
