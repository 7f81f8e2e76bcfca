"""What the page shows about a sweep, which is always internal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfperf import result
from tfperf.reporting import table
from tfperf.reporting.plugin.numbers import Number, number


def line(outcome: result.SweepResult) -> str:
    """One line: what was swept and how it ended."""
    return f"internal sweep of {outcome.benchmark} for {outcome.objective}: {outcome.status}"


def numbers(outcome: result.SweepResult) -> list[Number]:
    """The objective of the best trial, then further numbers."""
    best = next((trial for trial in outcome.trials if trial.name == outcome.best), None)
    return [
        number(
            f"best {outcome.objective}",
            None if best is None else best.objective,
            "",
            better="low" if outcome.direction == "min" else "high",
        ),
        *(number(each.name, each.value, each.unit) for each in outcome.measurements),
    ]


def facts(outcome: result.SweepResult) -> list[tuple[str, str]]:
    """The best values beside the default ones, and what the closed rules say about them."""
    best = numbers(outcome)[0]
    return [
        (best.label, best.text),
        ("best trial", outcome.best or table.UNKNOWN),
        ("trials", str(len(outcome.trials))),
        ("objective", f"{outcome.objective}, {outcome.direction}"),
        ("division", table.division(outcome)),
        ("best values", _values(outcome.best_values)),
        ("default values", _values(outcome.default_values)),
        ("improvement", _improvement(outcome.comparison)),
        ("closed rules", _lines(outcome.closed_rules)),
        *((("notes", "\n".join(outcome.notes)),) if outcome.notes else ()),
    ]


def tables(outcome: result.SweepResult) -> list[dict[str, Any]]:
    """The table of trials, one row each, the row of the best one, and the numbers in full."""
    fields = sorted({field for trial in outcome.trials for field in trial.values})
    columns: dict[str, list[Any]] = {
        "trial": [trial.name for trial in outcome.trials],
        **{field: [trial.values.get(field, "") for trial in outcome.trials] for field in fields},
        outcome.objective: [trial.objective for trial in outcome.trials],
        "quality": [trial.quality for trial in outcome.trials],
        **_workload_column(outcome),
        "status": [trial.status for trial in outcome.trials],
        "because": [trial.reason for trial in outcome.trials],
    }
    names, rows = columns["trial"], [list(row) for row in zip(*columns.values(), strict=True)]
    shown = [[rounded(value) for value in row] for row in rows]
    best = names.index(outcome.best) if outcome.best in names else None
    table_of_trials = {"title": "Trials", "headers": list(columns), "rows": shown, "values": rows, "best": best}
    return [table_of_trials] if rows else []


def rounded(value: Any) -> str:
    """A value as a table shows it: a fraction with four significant digits, and `--` for None."""
    if value is None:
        return table.UNKNOWN
    return table.number(value) if isinstance(value, float) else str(value)


def _improvement(compared: result.Comparison | None) -> str:
    """The difference between the means of the repeats, positive if the best values are better, and its certainty."""
    if compared is None:
        return "the best trial was not repeated"
    if compared.improvement is None or compared.low is None or compared.high is None:
        return "a repeat has no objective, so the difference is unknown"
    worth = "larger than the noise" if compared.beyond_noise else "not larger than the noise"
    interval = f"95 % confidence interval {compared.low:+.4g} to {compared.high:+.4g}"
    return f"{compared.improvement:+.4g} over {len(compared.best)} repeats, {interval}: {worth}"


def _workload_column(outcome: result.SweepResult) -> dict[str, list[Any]]:
    """The column that only trials that train have, or only trials that serve."""
    if any(trial.executable for trial in outcome.trials):
        return {"executable": [trial.executable or table.UNKNOWN for trial in outcome.trials]}
    return {"epochs": [trial.epochs for trial in outcome.trials]}


def _values(named: Mapping[str, Any]) -> str:
    return _lines({name: rounded(value) for name, value in named.items()})


def _lines(named: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in named.items()) or table.UNKNOWN
