"""The trials of a sweep as a table, live on a terminal and whole at the end."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from typing import TextIO

from tfperf import spec
from tfperf.reporting import jsonl, table
from tfperf.tuning import trial as trials
from tfperf.tuning.trial import Trial

_CLEAR_BELOW = "\x1b[J"
_LONGEST_REASON = 60


class LiveTable:
    """Shows the trials while they run: on a terminal a table that is drawn over itself, else a line for each end.

    Args:
        stream: where to write, usually `sys.stderr`.
        asked: the sweep.
        project: its directory.
        interactive: whether the stream is a terminal.
    """

    def __init__(self, stream: TextIO, *, asked: spec.SweepSpec, project: pathlib.Path, interactive: bool) -> None:
        self._stream = stream
        self._asked = asked
        self._project = project
        self._interactive = interactive
        self._drawn = 0
        self._told: set[str] = {trial.name for trial in trials.read_all(project) if trial.ended}

    def draw(self) -> None:
        """Shows what is new since the last time."""
        found = trials.read_all(self._project)
        if self._interactive:
            self._redraw(text(found, asked=self._asked, project=self._project))
            return
        for trial in found:
            if trial.ended and trial.name not in self._told:
                self._told.add(trial.name)
                self._say(_line(trial, self._asked))

    def say(self, line: str) -> None:
        """Writes a line that stays."""
        self._drawn = 0
        self._say(line)

    def _say(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def _redraw(self, drawn: str) -> None:
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(f"{up}{_CLEAR_BELOW}{drawn}\n")
        self._stream.flush()
        self._drawn = drawn.count("\n") + 1


def text(found: Sequence[Trial], *, asked: spec.SweepSpec, project: pathlib.Path | None = None) -> str:
    """The table: a row for each trial, the best one marked."""
    best = best_of(found, objective=asked.objective)
    fields = [field for field, _ in asked.space]
    own = asked.objective == "quality"  # then one column holds it, of running trials too
    named = [short(field, fields) for field in fields]
    headers = ["", "trial", *named, *(() if own else (asked.objective,)), "quality", "epochs", "status"]
    rows = [
        [
            "*" if best is not None and trial.name == best.name else "",
            trial.name,
            *(_value(trial.values.get(field)) for field in fields),
            *(() if own else (_number(trial.objective),)),
            _number(_quality(trial, project)),
            f"{trial.epochs}/{trial.max_epochs}" if trial.ended else f"of {trial.max_epochs}",
            _status(trial),
        ]
        for trial in found
    ]
    return f"internal sweep, trial {len(found)} of at most {asked.max_trials}\n{table.columns(headers, rows)}"


def best_of(found: Sequence[Trial], *, objective: str) -> Trial | None:
    """The completed trial with the best objective; the first of equals."""
    known = [trial for trial in found if trial.status == "completed" and trial.objective is not None]
    sign = -1 if objective == "time_to_target" else 1
    return max(known, key=lambda trial: sign * (trial.objective or 0.0), default=None)


def short(field: str, fields: Sequence[str]) -> str:
    """The last part of a dotted field, or all of it where two end alike."""
    last = field.rpartition(".")[2]
    return field if sum(each.rpartition(".")[2] == last for each in fields) > 1 else last


def _line(trial: Trial, asked: spec.SweepSpec) -> str:
    fields = [field for field, _ in asked.space]
    values = ", ".join(f"{short(field, fields)}={_value(trial.values.get(field))}" for field in fields)
    return f"trial {trial.name}: {values}: {asked.objective} {_number(trial.objective)}, {_status(trial)}"


def _status(trial: Trial) -> str:
    if not trial.ended:
        return f"running {table.clock(time.time() - trial.started_s)}"
    reason = trial.reason.splitlines()[0] if trial.reason else ""
    shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 3]}..."
    return f"{trial.status}: {shown}" if shown else trial.status


def _quality(trial: Trial, project: pathlib.Path | None) -> float | None:
    """At the last evaluation, also of a trial that is running."""
    if trial.ended or project is None:
        return trial.quality
    path = project / trials.FOLDER / trial.name / "events.jsonl"
    if not path.is_file():
        return None
    seen = [event.value for event in jsonl.read_events(path) if event.key == "eval_accuracy"]
    return float(seen[-1]) if seen else None


def _number(value: float | None) -> str:
    return table.UNKNOWN if value is None else table.number(value)


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
