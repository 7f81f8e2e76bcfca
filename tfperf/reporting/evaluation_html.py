"""An evaluation as one HTML file without scripts, which needs no network."""

from __future__ import annotations

from collections.abc import Iterator

from tfperf import result
from tfperf.reporting import charts, evaluation_charts, evaluation_table, html_page
from tfperf.reporting.evaluation_charts import Chart
from tfperf.reporting.html_page import Marked
from tfperf.telemetry_log import MachineLog

_MACHINE = ("cpu", "cpu_logical_cores", "gpu", "gpu_count", "operating_system", "python", "code_version")


def page(outcome: result.EvaluateResult, log: MachineLog | None = None) -> str:
    """The whole file.

    Args:
        outcome: the result.
        log: what was read about the machine of the run directory meanwhile; None if nothing was.
    """
    title = evaluation_table.verdict(outcome)
    return html_page.page(title, [html_page.heading(title, level=1), *sections(outcome, log)])


def sections(outcome: result.EvaluateResult, log: MachineLog | None) -> Iterator[str]:
    """What is between the title and the end, as HTML: reasons, charts, tables, facts and the machine."""
    for reason in outcome.reasons:
        yield html_page.paragraph(Marked(text=reason, kind="bad"))
    yield from map(_drawn, evaluation_charts.charts(outcome, log))
    for headers, cells in evaluation_table.tables(outcome):
        yield html_page.heading(evaluation_table.title(headers))
        yield html_page.rows(headers, [[_marked(cell) for cell in row] for row in cells], numbers=_numbers(cells))
    yield html_page.heading("Facts")
    yield html_page.rows(["what", "value"], evaluation_table.facts(outcome))
    yield html_page.heading("Machine")
    yield html_page.rows(
        ["what", "value"], [[name, str(outcome.environment[name])] for name in _MACHINE if name in outcome.environment]
    )


def _drawn(chart: Chart) -> str:
    """A chart with its heading."""
    drawn = charts.curves(chart.curves, x=chart.x, y=chart.y, bound=chart.bound, bound_label="bound")
    return f"{html_page.heading(chart.title)}{drawn}"


def _marked(cell: str) -> str | Marked:
    if cell == "INVALID" or cell == "repeats differ":
        return Marked(text=cell, kind="bad")
    if cell in ("ok", "STEADY"):
        return Marked(text=cell, kind="good")
    if cell.startswith(("DRIFT", "LEVEL_SHIFT", "NO_STEADY_STATE")):
        return Marked(text=cell, kind="doubt")
    return cell


def _numbers(cells: list[list[str]]) -> list[int]:
    """The columns that hold numbers."""
    return [place for place in range(len(cells[0])) if all(_is_number(row[place]) for row in cells)]


def _is_number(cell: str) -> bool:
    text = cell.replace(",", "")
    try:
        float(text)
    except ValueError:
        return text == "--"
    return True
