"""The result of an evaluation as plain text and as rows."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from tfperf import result
from tfperf.reporting import machine_facts, machine_tables, table

_MS = 1e6
_SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)
_TITLES = {
    "executable": "Executables",
    "phase": "Loads",
    "curve": "Knees and bounds",
    "repeated": "Repeats",
    "bottleneck": "Bottlenecks",
    "use": "Use of the machine",
}


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
    """Headers and rows of each table that has rows: executables, loads, curves, repeats, energy and use."""
    found = [_judged(outcome), _loads(outcome), _curves(outcome), _repeats(outcome), *machine_tables.tables(outcome)]
    return [(headers, rows) for headers, rows in found if rows]


def title(headers: Sequence[str]) -> str:
    """The heading of one of `tables`, by its headers."""
    return _TITLES.get(headers[0], headers[0].capitalize())


def facts(outcome: result.EvaluateResult) -> list[tuple[str, str]]:
    """What else is known, as (label, text)."""
    measured = "inputs in memory" if outcome.measured == "model" else "the user's data, made for each request"
    return [
        ("measured", f"{outcome.measured}: {measured}"),
        ("division", table.division(outcome)),
        *((each.name, f"{table.number(each.value)} {each.unit}".rstrip()) for each in outcome.measurements),
        *machine_facts.facts(outcome),
        *((("notes", "\n".join(noted)),) if (noted := _notes(outcome)) else ()),
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
        "threads": phase.threads,
        "device": phase.device,
        "repeat": phase.repeat,
        "hosts": phase.hosts,
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
        "busy": phase.busy,
        "lag_p99_ns": phase.lag_p99_ns,
        "not_finite": phase.not_finite,
        "retraces": phase.retraces,
        "retraced_requests": phase.retraced_requests,
        "memory_growth_bytes": phase.memory_growth_bytes,
        "steady": None if phase.steadiness is None else phase.steadiness.verdict,
        "change": None if phase.steadiness is None else phase.steadiness.change,
        "change_at_s": None if phase.steadiness is None else phase.steadiness.at_s,
        "reasons": "; ".join(phase.reasons),
    }


def _notes(outcome: result.EvaluateResult) -> list[str]:
    """What a reader should know, of the whole first; a note on several loads once."""
    of_loads: dict[str, list[str]] = {}
    for phase in outcome.phases:
        for note in phase.notes:
            of_loads.setdefault(note, []).append(f"{phase.phase}, {phase.load}")
    return [*outcome.notes, *(f"{'; '.join(dict.fromkeys(loads))}: {note}" for note, loads in of_loads.items())]


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
    placed = {(phase.device, phase.threads) for phase in outcome.phases} != {("auto", None)}
    headers = ["phase", "load", "executable", *(("device", "threads") if placed else ()), "batch", "inst"]
    rows = [
        [
            phase.phase,
            phase.load,
            phase.executable,
            *((phase.device, str(phase.threads or table.UNKNOWN)) if placed else ()),
            str(phase.batch_size),
            str(phase.instances),
            f"{phase.requests:,}",
            table.number(phase.requests_per_s),
            table.number(phase.samples_per_s),
            *(_ms(phase.latency_ns(percent)) for percent in (50.0, 95.0, 99.0)),
            _steady(phase.steadiness),
            phase.issuer,
            "ok" if phase.valid else "INVALID",
        ]
        for phase in outcome.phases
    ]
    numbers = ["requests", "requests/s", "samples/s", "P50 (ms)", "P95 (ms)", "P99 (ms)"]
    return [*headers, *numbers, "steady", "sent by", ""], rows


def _curves(outcome: result.EvaluateResult) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            each.executable,
            str(each.batch_size),
            str(each.instances),
            _knee(each),
            table.UNKNOWN if each.most_within_bound is None else table.number(each.most_within_bound),
            table.UNKNOWN if each.bound_ns is None else f"P99 <= {table.number(each.bound_ns / _MS)} ms",
        ]
        for each in outcome.curves
        if each.knee is not None or each.bound_ns is not None
    ]
    return ["curve", "batch", "inst", "knee (requests/s)", "most within the bound (requests/s)", "bound"], rows


def _steady(found: result.Steadiness | None) -> str:
    """The verdict on the model's time; a change with its size, and when it came."""
    if found is None:
        return table.UNKNOWN
    change = "" if found.change is None else f" {found.change:+.1%}"
    return f"{found.verdict}{change}{'' if found.at_s is None else f' at {found.at_s:.0f} s'}"


def _repeats(outcome: result.EvaluateResult) -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            each.phase,
            each.load,
            each.executable,
            str(each.batch_size),
            str(each.instances),
            each.metric,
            str(len(each.values)),
            f"{each.spread:.1%}",
            "ok" if each.consistent else "repeats differ",
        ]
        for each in outcome.repeats
    ]
    return ["repeated", "load", "executable", "batch", "inst", "number", "repeats", "spread", ""], rows


def _knee(curve: result.LoadCurve) -> str:
    if curve.knee is None:
        return table.UNKNOWN
    within = ""
    if curve.knee_low is not None and curve.knee_high is not None:
        within = f" ({table.number(curve.knee_low)} to {table.number(curve.knee_high)})"
    return f"{table.number(curve.knee)}{within}"


def _ms(nanoseconds: float | None) -> str:
    return table.UNKNOWN if nanoseconds is None else table.number(nanoseconds / _MS)
