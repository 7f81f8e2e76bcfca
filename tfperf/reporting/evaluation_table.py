"""The result of an evaluation as plain text and as rows."""

from __future__ import annotations

import pathlib
from typing import Any

from tfperf import result
from tfperf.reporting import table

_MS = 1e6
_SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)


def evaluate_table(outcome: result.EvaluateResult, *, run_dir: pathlib.Path) -> str:
    """The verdict and its reasons, the tables, then the facts."""
    head = [verdict(outcome), *(f"  - {reason}" for reason in outcome.reasons)]
    blocks = [
        "\n".join(head),
        *(table.columns(headers, rows) for headers, rows in tables(outcome)),
        table.facts([*facts(outcome), ("run directory", str(run_dir))]),
    ]
    return "\n\n".join(blocks)


def verdict(outcome: result.EvaluateResult) -> str:
    """One line: whether the result can be quoted."""
    what = f"internal evaluation of {outcome.benchmark}"
    if outcome.valid:
        return f"VALID {what}, not an MLPerf result"
    ended = f", {outcome.status}" if outcome.status in ("failed", "incomplete") else ""
    return f"INVALID {what}{ended}, not an MLPerf result"


def tables(outcome: result.EvaluateResult) -> list[tuple[list[str], list[list[str]]]]:
    """Headers and rows of each table that has rows: the quality of the executables, the loads, and the curves."""
    found = [_judged(outcome), _loads(outcome), _curves(outcome)]
    return [(headers, rows) for headers, rows in found if rows]


def facts(outcome: result.EvaluateResult) -> list[tuple[str, str]]:
    """What else is known, as (label, text)."""
    measured = "inputs in memory" if outcome.measured == "model" else "the user's data, made for each request"
    return [
        ("measured", f"{outcome.measured}: {measured}"),
        ("division", table.division(outcome)),
        *((each.name, f"{table.number(each.value)} {each.unit}".rstrip()) for each in outcome.measurements),
        *((("notes", "\n".join(outcome.notes)),) if outcome.notes else ()),
    ]


def row(phase: result.LoadPhase) -> dict[str, Any]:
    """A load as one flat row, for a data frame or a CSV file."""
    return {
        "phase": phase.phase,
        "load": phase.load,
        "executable": phase.executable,
        "batch_size": phase.batch_size,
        "instances": phase.instances,
        "issuer": phase.issuer,
        "valid": phase.valid,
        "status": phase.status,
        "requests": phase.requests,
        "samples": phase.samples,
        "duration_s": phase.duration_s,
        "requests_per_s": phase.requests_per_s,
        "samples_per_s": phase.samples_per_s,
        "offered_per_s": phase.offered_per_s,
        **{f"p{percent:g}_ns".replace(".", "_"): phase.latency_ns(percent) for percent in _SHOWN},
        "mean_ns": phase.mean_ns,
        "queue_ns": phase.queue_ns,
        "service_ns": phase.service_ns,
        "data_ns": phase.data_ns,
        "lag_p99_ns": phase.lag_p99_ns,
        "not_finite": phase.not_finite,
        "retraces": phase.retraces,
        "reasons": "; ".join(phase.reasons),
    }


def _judged(outcome: result.EvaluateResult) -> tuple[list[str], list[list[str]]]:
    names = list(dict.fromkeys(name for each in outcome.judged for name in each.values))
    rows = [
        [
            each.executable,
            f"{each.examples:,}",
            *(f"{each.values[name]:.4f}" if name in each.values else table.UNKNOWN for name in names),
            table.UNKNOWN if each.difference is None else f"{each.difference:.2g}",
            "ok" if each.accurate else each.reason,
        ]
        for each in outcome.judged
    ]
    return ["executable", "examples", *names, "difference", "accuracy"], rows


def _loads(outcome: result.EvaluateResult) -> tuple[list[str], list[list[str]]]:
    headers = ["phase", "load", "executable", "batch", "inst", "requests", "requests/s", "samples/s"]
    rows = [
        [
            phase.phase,
            phase.load,
            phase.executable,
            str(phase.batch_size),
            str(phase.instances),
            f"{phase.requests:,}",
            table.number(phase.requests_per_s),
            table.number(phase.samples_per_s),
            *(_ms(phase.latency_ns(percent)) for percent in (50.0, 95.0, 99.0)),
            "ok" if phase.valid else "INVALID",
        ]
        for phase in outcome.phases
    ]
    return [*headers, "P50 (ms)", "P95 (ms)", "P99 (ms)", ""], rows


def _curves(outcome: result.EvaluateResult) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            each.executable,
            str(each.batch_size),
            str(each.instances),
            table.UNKNOWN if each.knee is None else table.number(each.knee),
            table.UNKNOWN if each.most_within_bound is None else table.number(each.most_within_bound),
            table.UNKNOWN if each.bound_ns is None else f"P99 <= {table.number(each.bound_ns / _MS)} ms",
        ]
        for each in outcome.curves
        if each.knee is not None or each.bound_ns is not None
    ]
    return ["curve", "batch", "inst", "knee (requests/s)", "most within the bound (requests/s)", "bound"], rows


def _ms(nanoseconds: float | None) -> str:
    return table.UNKNOWN if nanoseconds is None else table.number(nanoseconds / _MS)
