"""A report as plain values, for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfperf import result
from tfperf.summary import leaderboard
from tfperf.summary.reported import ReportedRun, ReportedRuns

SCHEMA = 1


def as_dict(runs: ReportedRuns, *, ranked: bool) -> dict[str, Any]:
    """What `--format=json` prints."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "report",
        "runs": [{"group": group.label, **_run(each)} for group in runs.groups for each in group.runs],
        "evaluations": [
            {
                "run_dir": str(each.path),
                "benchmark": each.outcome.benchmark,
                "valid": each.outcome.valid,
                "reasons": list(each.reasons),
                "result": result.as_dict(each.outcome),
            }
            for each in runs.evaluations
        ],
        "skipped": list(runs.skipped),
    }
    if ranked:
        boards = [board for board in map(leaderboard.board, runs.groups) if board is not None]
        found["leaderboards"] = [
            {
                "group": board.label,
                "figure": board.kind.name,
                "unit": board.kind.unit,
                "standings": [dataclasses.asdict(each) for each in board.standings],
            }
            for board in boards
        ]
    return found


def _run(each: ReportedRun) -> dict[str, Any]:
    outcome = each.stored.outcome
    return {
        "run_dir": str(each.stored.path),
        "verdict": each.verdict,
        "reasons": list(each.reasons),
        "benchmark": outcome.benchmark,
        "division": outcome.division,
        "scenario": each.stored.scenario,
        "system": each.system,
        "started": None if each.stored.started is None else each.stored.started.isoformat(),
        "figures": {
            name: {"value": figure.value, "unit": figure.kind.unit, "low": figure.low, "high": figure.high}
            for name, figure in each.figures.items()
        },
        "energy": [dataclasses.asdict(domain) for domain in outcome.energy],
    }
