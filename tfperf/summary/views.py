"""A report as one HTML file, as markdown and as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from tfperf.analysis import across_runs
from tfperf.reporting import charts, html_page, table
from tfperf.reporting.charts import Axis, Curve, StripRow
from tfperf.reporting.html_page import Marked
from tfperf.summary import leaderboard, reported, sections
from tfperf.summary.reported import ReportedEvaluation, ReportedGroup, ReportedRun, ReportedRuns
from tfperf.summary.sections import Section

MOST_CURVES = 8  # as many as there are colours
_MOST_STRIPS = 60
_MS = 1e6
_PERCENTS = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99)
_OUTLOOKS: Mapping[str, html_page.Kind] = {"VALID": "good", "TIMED ONLY": "good", "CLOCK CHANGED": "doubt"}


def text(runs: ReportedRuns, *, ranked: bool) -> str:
    """For a terminal."""
    lines = [sections.headline(runs)]
    for section in _every(runs, ranked=ranked):
        lines += ["", section.title, table.columns(section.headers, section.rows)]
        lines += [section.note] if section.note else []
    return "\n".join([*lines, *_skipped(runs)])


def markdown(runs: ReportedRuns, *, ranked: bool) -> str:
    """A page for a repository or a wiki."""
    lines = ["# tfperf report", "", sections.headline(runs)]
    for section in _every(runs, ranked=ranked):
        lines += ["", f"## {_escaped(section.title)}", "", *_markdown(section)]
        lines += ["", section.note] if section.note else []
    return "\n".join([*lines, *_skipped(runs)])


def page(runs: ReportedRuns, *, ranked: bool, made: str) -> str:
    """One HTML file.

    Args:
        runs: what it is about.
        ranked: whether it has leaderboards.
        made: when and by what it was made.
    """
    body = [html_page.heading("tfperf report", level=1), html_page.paragraph(sections.headline(runs))]
    body.append(_table(sections.verdicts(runs)))
    if ranked:
        body += [_table(sections.standings(board)) for board in _boards(runs)]
    for group in runs.groups:
        body += _group(group)
    for evaluation in runs.evaluations:
        body += _evaluation(evaluation)
    body += [html_page.paragraph(line, quiet=True) for line in (*_skipped(runs), made) if line]
    return html_page.page(f"tfperf report: {sections.headline(runs)}", body)


def _every(runs: ReportedRuns, *, ranked: bool) -> Iterator[Section]:
    yield sections.verdicts(runs)
    if ranked:
        yield from (sections.standings(board) for board in _boards(runs))
    for group in runs.groups:
        yield sections.figures(group)
        yield from (found for found in (sections.energy(group), sections.differences(group)) if found is not None)
        yield sections.environment(group)
    yield from (sections.loads(each) for each in runs.evaluations)


def _boards(runs: ReportedRuns) -> list[leaderboard.Board]:
    return [board for board in map(leaderboard.board, runs.groups) if board is not None]


def _skipped(runs: ReportedRuns) -> list[str]:
    return ["", *(f"skipped: {each}" for each in runs.skipped)] if runs.skipped else []


def _group(group: ReportedGroup) -> Iterator[str]:
    found = sections.figures(group)
    yield _table(found)
    for kind in group.deciding or group.kinds[:1]:
        yield charts.strips(_strips(group, kind.name), label=f"{kind.name} ({kind.unit})")
    yield _distribution(group)
    energy = sections.energy(group)
    if energy is not None:
        yield _table(energy)
    different = sections.differences(group)
    if different is not None:
        yield _table(different)
    yield html_page.folded(f"Environment of {group.label}", _table(sections.environment(group)))


def _strips(group: ReportedGroup, name: str) -> list[StripRow]:
    """The newest runs, and all that count."""
    having = [each for each in group.runs if name in each.figures]
    colours = _colours(group)
    rows = []
    for each in having[-_MOST_STRIPS:]:
        figure = each.figures[name]
        shown = table.number(figure.value) + ("" if each.quotable else f" {each.verdict}")
        rows.append(
            StripRow(
                label=each.name,
                value=figure.value,
                low=figure.low,
                high=figure.high,
                shown=shown,
                series=colours[each.system],
            )
        )
    for system, colour in colours.items():
        values = [each.figures[name].value for each in having if each.quotable and each.system == system]
        if len(values) > 1:
            mean = across_runs.typical(values)
            rows.append(
                StripRow(
                    label=f"{len(values)} runs on {system}",
                    value=mean.value,
                    low=mean.low,
                    high=mean.high,
                    shown=table.number(mean.value),
                    series=colour,
                    dots=tuple(values),
                )
            )
    return rows


def _colours(group: ReportedGroup) -> dict[str, int]:
    return {system: number for number, system in enumerate(dict.fromkeys(each.system for each in group.runs))}


def _distribution(group: ReportedGroup) -> str:
    """Latency by percentile of the newest runs."""
    newest = [each for each in group.runs if each.quotable][-MOST_CURVES:]
    drawn = [_curve(each, number) for number, each in enumerate(newest)]
    drawn = [curve for curve in drawn if curve.points]
    if not drawn:
        return ""
    ticks = tuple((_tail(percent), f"{percent:g} %") for percent in _PERCENTS)
    left_out = sum(each.quotable for each in group.runs) - len(newest)
    label = "requests that were at least as fast" + (f"; the newest {len(drawn)} runs" if left_out else "")
    return charts.curves(drawn, x=Axis(label=label, ticks=ticks), y=Axis(label="latency (ms)", log=True))


def _curve(each: ReportedRun, number: int) -> Curve:
    points = tuple((_tail(percent), latency_ms) for percent, latency_ms in reported.latency_curve(each.stored))
    return Curve(name=each.name, points=points, series=number)


def _tail(percent: float) -> float:
    """Where a percentile lies on an axis that gives each further nine the same room."""
    return -math.log10(1 - percent / 100)


def _evaluation(evaluation: ReportedEvaluation) -> Iterator[str]:
    yield _table(sections.loads(evaluation))
    drawn, bounds = [], []
    for number, curve in enumerate(evaluation.outcome.curves[:MOST_CURVES]):
        points = [(point[0], point[1] / _MS) for point in curve.points if len(point) > 1 and point[1] is not None]
        name = f"{curve.executable}, batch {curve.batch_size}, {curve.instances} at once"
        drawn.append(Curve(name=name, points=tuple(points), series=number, marked=True))
        bounds += [] if curve.bound_ns is None else [curve.bound_ns / _MS]
    bound = min(bounds, default=None)
    yield charts.curves(
        drawn,
        x=Axis(label="requests/s"),
        y=Axis(label="P99 latency (ms)", log=True),
        bound=bound,
        bound_label="" if bound is None else f"bound of {table.number(bound)} ms",
    )


def _table(section: Section) -> str:
    cells: list[list[str | Marked]] = [list(row) for row in section.rows]
    if section.headers[0] == "verdict":
        cells = [[Marked(text=row[0], kind=_kind(row[0])), *row[1:]] for row in section.rows]
    parts = [
        html_page.heading(section.title),
        html_page.rows(section.headers, cells, numbers=section.numbers),
        html_page.paragraph(section.note, quiet=True) if section.note else "",
    ]
    return "".join(parts)


def _kind(verdict: str) -> html_page.Kind:
    return _OUTLOOKS.get(verdict, "bad")


def _markdown(section: Section) -> list[str]:
    marks = ["---:" if place in section.numbers else "---" for place in range(len(section.headers))]
    rows = [section.headers, marks, *([_escaped(cell) for cell in row] for row in section.rows)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("\n", " ")
