"""A page as one file: no script, no network, light or dark as the reader's system, readable on a phone and on paper."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from typing import Literal

Kind = Literal["good", "bad", "doubt"]
_WIDEST = 19  # characters of a column before its text wraps

# Forbids every request and every script, whatever a name in the page might contain.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --back:#fff; --text:#1c2733; --quiet:#5b6875; --line:#d5dbe1; --panel:#f5f7f9;
  --good:#14713a; --bad:#b3261e; --doubt:#8a5a00; --series-1:#1f6fb5; --series-2:#c8501e; --series-3:#2b8a57;
  --series-4:#8646b4; --series-5:#a87900; --series-6:#b8336a; --series-7:#3a7d8c; --series-8:#6b6b6b }
@media (prefers-color-scheme: dark) { :root { --back:#14181d; --text:#e4e9ee; --quiet:#9aa7b4; --line:#363f48;
  --panel:#1d232a; --good:#5fc98a; --bad:#ff8a80; --doubt:#e8b75a; --series-1:#6cb2f0; --series-2:#ff9a6b;
  --series-3:#6dcf9b; --series-4:#c79af0; --series-5:#e5bd4d; --series-6:#f58fb5; --series-7:#7cc5d4;
  --series-8:#b5b5b5 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem } p { margin: .4rem 0 } .quiet, figcaption, .axis { color: var(--quiet) }
.scroll { overflow-x: auto; margin: .5rem 0 } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  overflow-wrap: normal } .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
th { font-weight: 600; color: var(--quiet); white-space: nowrap } td.wrap { overflow-wrap: anywhere }
.good { color: var(--good); font-weight: 600 } .bad { color: var(--bad); font-weight: 600 }
.doubt { color: var(--doubt); font-weight: 600 }
figure { margin: .75rem 0 1.5rem; padding: .75rem; background: var(--panel); border-radius: .5rem }
figcaption, .axis { font-size: .85rem } .axis { text-align: center; margin-top: 1.6rem }
.strip { display: grid; grid-template-columns: minmax(6rem, 32%) minmax(8rem, 1fr) minmax(5rem, auto); gap: .6rem;
  align-items: center; font-size: .85rem; min-height: 1.6rem } .strip .number { text-align: right }
.track { position: relative; height: 1.1rem; border-bottom: 1px solid var(--line) } .track i { position: absolute }
.range { top: .45rem; height: .25rem; background: var(--colour); opacity: .45; min-width: 1px; border-radius: .1rem }
.value { top: .2rem; width: .2rem; height: .75rem; margin-left: -.1rem; background: var(--colour) }
.dot { top: .35rem; width: .45rem; height: .45rem; margin-left: -.225rem; border-radius: 50%;
  border: 1.5px solid var(--colour) } .scale .track { border: 0 }
.scale .track span { position: absolute; transform: translateX(-50%); color: var(--quiet); white-space: nowrap }
.plot { position: relative; height: 15rem; margin: .5rem .5rem 0 3.4rem }
.plot svg { width: 100%; height: 100%; overflow: visible }
.plot path { fill: none; stroke: var(--colour); stroke-width: 1.8; vector-effect: non-scaling-stroke }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke }
.plot .bound { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 5 4; vector-effect: non-scaling-stroke }
.plot span { position: absolute; font-size: .75rem; color: var(--quiet); white-space: nowrap }
.plot .x { top: 100%; margin-top: .25rem; transform: translateX(-50%) }
.plot .y { right: 100%; margin-right: .35rem; transform: translateY(50%) }
.mark { position: absolute; width: .5rem; height: .5rem; margin: 0 0 -.25rem -.25rem; border-radius: 50%;
  background: var(--colour) }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; margin: .3rem 0 0; padding: 0;
  font-size: .85rem } .legend li::before { content: ""; display: inline-block; width: 1.2rem; height: .2rem;
  margin: 0 .35rem .2rem 0; background: var(--colour) }
.legend .bound::before { background: none; border-top: 2px dashed var(--bad); height: 0 }
details { margin: .5rem 0 } summary { cursor: pointer }
@media (max-width: 40rem) { body { padding: .6rem; font-size: 14px } th, td { padding: .3rem .4rem }
  .strip { grid-template-columns: 1fr auto } .strip .name { grid-row: 1 } .strip .number { grid-row: 1 }
  .strip .track { grid-row: 2; grid-column: 1 / 3 } .scale .track { grid-row: 1 } .plot { margin-left: 2.9rem } }
@media print { body { max-width: none } figure { break-inside: avoid } }
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marked:
    """Text in the colour of its kind; the text says the same without colours.

    Attributes:
        text: plain text.
        kind: `good`, `bad` or `doubt`.
    """

    text: str
    kind: Kind


def page(title: str, body: Sequence[str]) -> str:
    """The whole file.

    Args:
        title: plain text.
        body: HTML, whose text is escaped.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def rows(headers: Sequence[str], cells: Sequence[Sequence[str | Marked]], *, numbers: Sequence[int] = ()) -> str:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        headers: plain text.
        cells: one row each, a cell for each header.
        numbers: columns that are aligned right.
    """
    right = [' class="number"' if place in numbers else "" for place in range(len(headers))]
    head = "".join(f"<th{kind}>{html.escape(header)}</th>" for kind, header in zip(right, headers, strict=True))
    lines = []
    kinds = [_column(place, cells, numbers) for place in range(len(headers))]
    for row in cells:
        lines.append("".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def heading(text: str, *, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str | Marked, *, quiet: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{' class=quiet' if quiet else ''}>{_cell(text)}</p>"


def folded(summary: str, body: str) -> str:
    """HTML that is shown on a click."""
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>"


def _column(place: int, cells: Sequence[Sequence[str | Marked]], numbers: Sequence[int]) -> str:
    """The attributes of a column's cells. A long text keeps a readable width, also where the table has to scroll."""
    if place in numbers:
        return ' class="number"'
    column = [row[place] for row in cells]
    texts = [each.text if isinstance(each, Marked) else each for each in column]
    longest = max((len(line) for text in texts for line in text.split("\n")), default=0)
    return f' class="wrap" style="min-width:calc({min(longest, _WIDEST)}ch + 1.4rem)"'


def _cell(text: str | Marked) -> str:
    if isinstance(text, Marked):
        return f'<span class="{text.kind}">{html.escape(text.text)}</span>'
    return html.escape(text).replace("\n", "<br>")
