"""An evaluation as one HTML file without scripts, which needs no network."""

from __future__ import annotations

from collections.abc import Iterator

from tfperf import result
from tfperf.reporting import charts, evaluation_table, html_page
from tfperf.reporting.charts import Axis, Curve
from tfperf.reporting.html_page import Marked

_MS = 1e6
_TITLES = {
    "executable": "Executables",
    "phase": "Loads",
    "curve": "Knees and bounds",
    "repeated": "Repeats",
}
_MACHINE = ("cpu", "cpu_logical_cores", "gpu", "gpu_count", "operating_system", "python", "code_version")


def page(outcome: result.EvaluateResult) -> str:
    """The whole file."""
    title = evaluation_table.verdict(outcome)
    return html_page.page(title, [html_page.heading(title, level=1), *sections(outcome)])


def sections(outcome: result.EvaluateResult) -> Iterator[str]:
    """What is between the title and the end, as HTML: reasons, charts, tables, facts and the machine."""
    for reason in outcome.reasons:
        yield html_page.paragraph(Marked(text=reason, kind="bad"))
    yield from (chart for chart in (_latency_over_throughput(outcome), _over_time(outcome)) if chart)
    for headers, cells in evaluation_table.tables(outcome):
        yield html_page.heading(_TITLES.get(headers[0], headers[0].capitalize()))
        yield html_page.rows(headers, [[_marked(cell) for cell in row] for row in cells], numbers=_numbers(cells))
    yield html_page.heading("Facts")
    yield html_page.rows(["what", "value"], evaluation_table.facts(outcome))
    yield html_page.heading("Machine")
    yield html_page.rows(
        ["what", "value"], [[name, str(outcome.environment[name])] for name in _MACHINE if name in outcome.environment]
    )


def _latency_over_throughput(outcome: result.EvaluateResult) -> str:
    """P99 over requests/s, a curve for each combination."""
    drawn = [
        Curve(
            name=f"{curve.executable}, batch {curve.batch_size}, {curve.instances} at a time",
            points=tuple((rate, latency_ns / _MS) for rate, latency_ns in curve.points),
            series=number,
            marked=True,
        )
        for number, curve in enumerate(outcome.curves)
    ]
    bounds = [curve.bound_ns for curve in outcome.curves if curve.bound_ns is not None]
    chart = charts.curves(
        drawn,
        x=Axis(label="requests/s"),
        y=Axis(label="P99 latency (ms)", log=True),
        bound=bounds[0] / _MS if bounds else None,
        bound_label="bound",
    )
    return f"{html_page.heading('Latency over throughput')}{chart}" if chart else ""


def _over_time(outcome: result.EvaluateResult) -> str:
    """Samples/s of each load from its beginning to its end."""
    combinations = list(dict.fromkeys(_combination(phase) for phase in outcome.phases))
    drawn = []
    for number, combination in enumerate(combinations):
        points: list[tuple[float, float]] = []
        for phase in outcome.phases:
            if _combination(phase) == combination and phase.samples_per_s > 0:
                ended_s = phase.started_s + phase.duration_s
                points += [(phase.started_s, phase.samples_per_s), (ended_s, phase.samples_per_s)]
                points.append((ended_s, float("nan")))
        drawn.append(Curve(name=combination, points=tuple(points), series=number))
    chart = charts.curves(
        drawn, x=Axis(label="seconds since the evaluation began"), y=Axis(label="samples/s of each load", log=True)
    )
    return f"{html_page.heading('Loads over time')}{chart}" if chart else ""


def _combination(phase: result.LoadPhase) -> str:
    placed = "" if phase.device == "auto" else f", {phase.device}"
    return f"{phase.executable}, batch {phase.batch_size}, {phase.instances} at a time{placed}"


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
