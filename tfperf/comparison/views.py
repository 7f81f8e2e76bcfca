"""A comparison as text for a terminal, as markdown, as JUnit's XML and as annotations of GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from tfperf.analysis.comparison import MetricVerdict
from tfperf.comparison.compare import ComparedFigure, CompareResult
from tfperf.reporting import table
from tfperf.stored.facts import Difference

_WIDTH = 48
_LONGEST = 36
_GITHUB = {"REGRESSION": "error", "INVALID": "error", "TARGET MISSED": "error", "IMPROVED": "notice"}
_FAILURES = ("REGRESSION", "INVALID", "TARGET MISSED")


def text(found: CompareResult) -> str:
    """The verdict, its reasons, the figures with every run drawn below them, and what else differs."""
    lines = [headline(found), *(f"  - {reason}" for reason in found.reasons)]
    if found.figures:
        lines += ["", table.columns(FIGURE_HEADERS, [figure_row(each.judged) for each in found.figures]), ""]
        lines += [line for each in found.figures if each.judged.metric.gated for line in strips(each)]
        lines.append("Each o is a run, # several, and | their geometric mean. * decides the verdict.")
    if found.differences:
        lines += ["", table.columns(DIFFERENCE_HEADERS, [difference_row(each) for each in found.differences])]
    if found.notes:
        lines += ["", *(f"note: {note}" for note in found.notes)]
    return "\n".join(lines)


def headline(found: CompareResult) -> str:
    """The verdict with what was compared, in a line."""
    more = ""
    if found.verdict in ("INCONCLUSIVE", "SUSPECT"):
        runs = "more than 100" if found.further_runs is None else f"about {found.further_runs}"
        more = f"; {runs} further runs a side would probably decide"
    return (
        f"{found.verdict}: {found.what}, {len(found.baseline)} against {len(found.candidate)} runs{more}. "
        "Not verified by MLCommons."
    )


def strips(each: ComparedFigure) -> list[str]:
    """The runs of both sides on one scale."""
    values = (*each.baseline, *each.candidate)
    low, high = min(values), max(values)
    if low == high:
        return [f"{each.judged.metric.name}: {table.number(low)} {each.judged.metric.unit} in every run", ""]
    sides = (("baseline", each.baseline, each.judged.baseline), ("candidate", each.candidate, each.judged.candidate))
    ends = f"{table.number(low)} to {table.number(high)} {each.judged.metric.unit}"
    lines = [f"{each.judged.metric.name}, {ends}"]
    lines += [f"  {name:<11}{_strip(side, mean, low=low, high=high)}" for name, side, mean in sides]
    return [*lines, ""]


def markdown(found: CompareResult) -> str:
    """A section of a page, such as the summary of a CI job or a comment on a pull request."""
    rows = [figure_row(each.judged) for each in found.figures]
    lines = [f"### {_escaped(headline(found))}", "", *(f"- {_escaped(reason)}" for reason in found.reasons)]
    if rows:
        lines += ["", *_markdown_table(FIGURE_HEADERS, rows)]
    if found.differences:
        lines += ["", *_markdown_table(DIFFERENCE_HEADERS, [difference_row(each) for each in found.differences])]
    return "\n".join([*lines, *(f"\n> {_escaped(note)}" for note in found.notes)])


def junit(found: CompareResult) -> str:
    """One test case for each figure that decides: a regression is a failure, what can't be decided is skipped."""
    gated = [each.judged for each in found.figures if each.judged.metric.gated]
    suite = ElementTree.Element("testsuite", name=f"tfperf compare: {found.what}")
    for judged in gated:
        case = ElementTree.SubElement(suite, "testcase", classname="tfperf.compare", name=judged.metric.name, time="0")
        _junit_outcome(case, judged.verdict, judged.because)
    if not gated:
        case = ElementTree.SubElement(suite, "testcase", classname="tfperf.compare", name="result", time="0")
        _junit_outcome(case, found.verdict, "\n".join(found.reasons))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall(".//failure"))))
    suite.set("skipped", str(len(suite.findall(".//skipped"))))
    suite.set("errors", "0")
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode")


def github(found: CompareResult) -> str:
    """Workflow commands that GitHub shows as annotations."""
    level = _GITHUB.get(found.verdict, "notice" if found.verdict == "UNCHANGED" else "warning")
    message = "\n".join([headline(found), *found.reasons, *found.notes])
    escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{level} title=tfperf {found.verdict}::{escaped}"


FIGURE_HEADERS = ("figure", "unit", "baseline", "candidate", "change", "95 % interval", "p", "verdict")
DIFFERENCE_HEADERS = ("differs in", "baseline", "candidate", "")


def figure_row(judged: MetricVerdict) -> tuple[str, ...]:
    """The cells of a figure, one for each of `FIGURE_HEADERS`."""
    p = judged.p if judged.p_holm is None else judged.p_holm
    interval = table.UNKNOWN
    if judged.low is not None and judged.high is not None:
        interval = f"{_change(judged.low)} to {_change(judged.high)}"
    return (
        f"{judged.metric.name}{'*' if judged.metric.gated else ''}",
        judged.metric.unit,
        table.number(judged.baseline),
        table.number(judged.candidate),
        _change(judged.ratio),
        interval,
        table.UNKNOWN if p is None else f"{p:.2g}",
        judged.verdict,
    )


def difference_row(each: Difference) -> tuple[str, str, str, str]:
    """The cells of a difference, one for each of `DIFFERENCE_HEADERS`."""
    return (
        each.key,
        _short(" or ".join(each.baseline)),
        _short(" or ".join(each.candidate)),
        "declared" if each.declared else "not declared",
    )


def _change(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 3]}..."


def _strip(values: Sequence[float], mean: float, *, low: float, high: float) -> str:
    def place(value: float) -> int:
        return round((value - low) / (high - low) * (_WIDTH - 1))

    cells = ["."] * _WIDTH
    for value in values:
        cells[place(value)] = "o" if cells[place(value)] == "." else "#"
    middle = min(max(place(mean), 0), _WIDTH - 1)
    if cells[middle] == ".":
        cells[middle] = "|"
    return "".join(cells)


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headers, ["---"] * len(headers), *([_escaped(cell) for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _escaped(value: str) -> str:
    return value.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("\n", " ")


def _junit_outcome(case: ElementTree.Element, verdict: str, why: str) -> None:
    if verdict in _FAILURES:
        ElementTree.SubElement(case, "failure", message=verdict, type=verdict).text = why
    elif verdict in ("INCONCLUSIVE", "SUSPECT"):
        ElementTree.SubElement(case, "skipped", message=f"{verdict}: {why}")
    else:
        ElementTree.SubElement(case, "system-out").text = f"{verdict}: {why}"
