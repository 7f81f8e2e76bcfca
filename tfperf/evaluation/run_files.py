"""The run directory of an evaluation: its spec, its machine, its events, and the result, written after every step."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from tfperf import config as configs
from tfperf import manifest, result, telemetry_log
from tfperf import spec as specs
from tfperf.events import Event
from tfperf.reporting import evaluation_html, jsonl
from tfperf.system import environment
from tfperf.telemetry_log import MachineLog

REPORT = "report.html"


class RunFiles:
    """Writes the files of one evaluation.

    Args:
        run_dir: an existing, empty directory.
        spec: what is measured.
        captured: the machine and the software.

    Attributes:
        run_dir: the directory.
    """

    def __init__(self, run_dir: pathlib.Path, *, spec: specs.EvaluateSpec, captured: Mapping[str, Any]) -> None:
        self.run_dir = run_dir
        (run_dir / "spec.yaml").write_text(configs.dump(spec), encoding="utf-8")
        environment.write(run_dir / "environment.json", {"division": "internal", **captured})
        self._events = jsonl.JsonLines(run_dir / "events.jsonl")
        self._events.emit(Event(key="submission_division", value="internal"))
        self._written: dict[str, Any] = {}

    def write(self, step: str, outcome: result.EvaluateResult) -> None:
        """Writes the result so far, and what a step added to it as an event."""
        after = result.as_dict(outcome)
        added = {name: value for name, value in after.items() if self._written.get(name) != value}
        result.write(self.run_dir / "result.json", outcome)
        if self._written:
            self._events.emit(Event(key=step, value=outcome.status, metadata=added))
        self._written = after

    def abandon(self) -> None:
        """Closes the files of an evaluation that can't write any more."""
        with contextlib.suppress(OSError):
            self._events.close()

    def close(self, outcome: result.EvaluateResult) -> None:
        """Ends the events, and writes `report.html` and the manifest. Call this once, at the end."""
        self._events.close()
        (self.run_dir / REPORT).write_text(evaluation_html.page(outcome, self._log()), encoding="utf-8")
        manifest.write(self.run_dir, division="internal", code_version=outcome.environment["code_version"])

    def _log(self) -> MachineLog | None:
        """What was read about this machine; None if nothing was, of which the result has a note."""
        try:
            return telemetry_log.read(self.run_dir / telemetry_log.NAME)
        except (FileNotFoundError, ValueError):
            return None


def blank(
    name: str, spec: specs.EvaluateSpec, captured: Mapping[str, Any], *, notes: tuple[str, ...]
) -> result.EvaluateResult:
    """The result before anything was measured."""
    return result.EvaluateResult(
        benchmark=name,
        valid=False,
        reasons=("the evaluation did not finish",),
        status="incomplete",
        config=configs.as_dict(spec),
        environment=dict(captured),
        measured=spec.measure,
        notes=notes,
    )


def stopped(outcome: result.EvaluateResult, status: Any, *reasons: str) -> result.EvaluateResult:
    """The result of an evaluation that ended early."""
    return dataclasses.replace(outcome, valid=False, status=status, reasons=reasons)
