"""What a notebook shows of a result: the status and the numbers, in place of every field."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_CELL = 'style="text-align: left; vertical-align: top; white-space: pre-line"'


def shown(heading: str, *, reasons: Sequence[str], rows: Iterable[tuple[str, object]]) -> str:
    """A heading, why it is so, and a table of two columns as HTML.

    Args:
        heading: the run and its status.
        reasons: one line each.
        rows: (label, value); a value of None is left out, a number is shown to four digits.
    """
    why = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    lines = "".join(
        f"<tr><th {_CELL}>{html.escape(label)}</th><td {_CELL}>{html.escape(_text(value))}</td></tr>"
        for label, value in rows
        if value is not None
    )
    return f"<p><b>{html.escape(heading)}</b></p>{f'<ul>{why}</ul>' if why else ''}<table>{lines}</table>"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)
