"""What the page shows about an evaluation, which is always internal."""

from __future__ import annotations

import math
from typing import Any

from tfperf import result
from tfperf.reporting import evaluation_charts, evaluation_table
from tfperf.reporting.evaluation_charts import Chart
from tfperf.reporting.plugin.numbers import Number, number


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
    """The executables, the loads, the knees and the rest of the result's tables."""
    return [
        {"title": evaluation_table.title(headers), "headers": headers, "rows": rows}
        for headers, rows in evaluation_table.tables(outcome)
    ]


def charts(outcome: result.EvaluateResult) -> list[dict[str, Any]]:
    """The charts, with null where a curve is interrupted."""
    return [_plain(chart) for chart in evaluation_charts.charts(outcome)]


def _plain(chart: Chart) -> dict[str, Any]:
    return {
        "title": chart.title,
        "x": chart.x.label,
        "y": chart.y.label,
        "bound": chart.bound,
        "curves": [
            {
                "name": curve.name,
                "series": curve.series,
                "marked": curve.marked,
                "points": [(x, None if math.isnan(y) else y) for x, y in curve.points],
            }
            for curve in chart.curves
        ],
    }
