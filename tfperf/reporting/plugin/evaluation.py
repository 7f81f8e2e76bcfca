"""What the page shows about an evaluation, which is always internal."""

from __future__ import annotations

from typing import Any

from tfperf import result
from tfperf.reporting import evaluation_table
from tfperf.reporting.plugin.numbers import Number, number

_TITLES = {
    "executable": "Executables",
    "phase": "Loads",
    "curve": "Latency over throughput",
    "repeated": "Repeats",
    "energy": "Energy",
    "use": "Use of the machine",
}


def numbers(outcome: result.EvaluateResult) -> list[Number]:
    """The highest throughput, the most within the bound, then further numbers."""
    ended = [phase for phase in outcome.phases if phase.valid]
    within = [each.most_within_bound for each in outcome.curves if each.most_within_bound is not None]
    return [
        number("highest throughput", max((each.samples_per_s for each in ended), default=None), "samples/s"),
        *((number("most within the bound", max(within), "requests/s"),) if within else ()),
        *(number(each.name, each.value, each.unit) for each in outcome.measurements),
    ]


def tables(outcome: result.EvaluateResult) -> list[dict[str, Any]]:
    """The executables, the loads and the curves."""
    return [
        {"title": _TITLES.get(headers[0], headers[0]), "headers": headers, "rows": rows}
        for headers, rows in evaluation_table.tables(outcome)
    ]
