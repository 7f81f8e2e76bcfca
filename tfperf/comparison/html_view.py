"""A comparison as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping

from tfperf.analysis import across_runs
from tfperf.comparison import views
from tfperf.comparison.compare import ComparedFigure, CompareResult
from tfperf.reporting import charts, html_page, table
from tfperf.reporting.charts import StripRow
from tfperf.reporting.html_page import Marked

_KINDS: Mapping[str, html_page.Kind] = {
    "UNCHANGED": "good",
    "IMPROVED": "good",
    "INCONCLUSIVE": "doubt",
    "SUSPECT": "doubt",
}


def page(found: CompareResult, *, made: str) -> str:
    """The verdict, its reasons, the figures, every run of them drawn, and what else differs.

    Args:
        found: the comparison.
        made: when and by what the page was made.
    """
    body = [
        html_page.heading("tfperf compare", level=1),
        html_page.paragraph(Marked(text=views.headline(found), kind=_kind(found.verdict))),
        *(html_page.paragraph(reason) for reason in found.reasons),
    ]
    if found.figures:
        cells = [_cells(views.figure_row(each.judged)) for each in found.figures]
        body += [html_page.heading("Figures"), html_page.rows(views.FIGURE_HEADERS, cells, numbers=(2, 3, 4, 5, 6))]
        body.append(html_page.paragraph("* decides the verdict.", quiet=True))
        body += [_drawn(each) for each in found.figures if each.judged.metric.gated]
    if found.differences:
        rows = [views.difference_row(each) for each in found.differences]
        body += [html_page.heading("Differences"), html_page.rows(views.DIFFERENCE_HEADERS, rows)]
    body += [html_page.paragraph(note, quiet=True) for note in (*found.notes, made)]
    return html_page.page(views.headline(found), body)


def _drawn(each: ComparedFigure) -> str:
    """All runs of both sides on one scale, with the geometric mean of each and its interval."""
    rows = []
    for series, (side, values) in enumerate((("baseline", each.baseline), ("candidate", each.candidate))):
        mean = across_runs.typical(values)
        rows.append(
            StripRow(
                label=f"{side}, {len(values)} run{'s' if len(values) > 1 else ''}",
                value=mean.value,
                low=mean.low,
                high=mean.high,
                shown=table.number(mean.value),
                series=series,
                dots=values,
            )
        )
    return charts.strips(rows, label=f"{each.judged.metric.name} ({each.judged.metric.unit})")


def _cells(row: tuple[str, ...]) -> list[str | Marked]:
    return [*row[:-1], Marked(text=row[-1], kind=_kind(row[-1]))]


def _kind(verdict: str) -> html_page.Kind:
    return _KINDS.get(verdict, "bad")
