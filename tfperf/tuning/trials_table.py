"""The trials of a sweep as a table, live on a terminal and whole at the end."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from typing import TextIO

from tfperf import spec
from tfperf.reporting import table
from tfperf.tuning import kinds
from tfperf.tuning import trial as trials
from tfperf.tuning.objective import DIRECTIONS, title
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


def text(found: Sequence[Trial], *, asked: spec.SweepSpec, project: pathlib.Path) -> str:
    """The table: a row for each trial, the best one marked."""
    best = best_of(found, objective=asked.objective)
    fields = [field for field, _ in asked.space]
    cells = [_cells(trial, asked, project / trials.FOLDER / trial.name) for trial in found]
    headers = ["", "trial", *(short(field, fields) for field in fields), *(cells[0] if cells else ()), "status"]
    rows = [
        [
            "*" if best is not None and trial.name == best.name else "",
            trial.name,
            *(cell(trial.values.get(field)) for field in fields),
            *measured.values(),
            _status(trial),
        ]
        for trial, measured in zip(found, cells, strict=True)
    ]
    return f"internal sweep, trial {len(found)} of at most {asked.max_trials}\n{table.columns(headers, rows)}"


def best_of(found: Sequence[Trial], *, objective: spec.Objective) -> Trial | None:
    """The completed trial with the best objective; the first of equals."""
    known = [trial for trial in found if trial.status == "completed" and trial.objective is not None]
    sign = -1 if DIRECTIONS[objective] == "min" else 1
    return max(known, key=lambda trial: sign * (trial.objective or 0.0), default=None)


def _cells(trial: Trial, asked: spec.SweepSpec, directory: pathlib.Path) -> dict[str, str]:
    """Header -> cell of what was measured; an objective that the kind tells itself stands once."""
    return {
        title(asked.objective): _number(trial.objective),
        **kinds.of(asked.base).cells(trial, directory),
    }


def short(field: str, fields: Sequence[str]) -> str:
    """The last part of a dotted field, or all of it where two end alike."""
    last = field.rpartition(".")[2]
    return field if sum(each.rpartition(".")[2] == last for each in fields) > 1 else last


def _line(trial: Trial, asked: spec.SweepSpec) -> str:
    fields = [field for field, _ in asked.space]
    values = ", ".join(f"{short(field, fields)}={cell(trial.values.get(field))}" for field in fields)
    return f"trial {trial.name}: {values}: {asked.objective} {_number(trial.objective)}, {_status(trial)}"


def _status(trial: Trial) -> str:
    if not trial.ended:
        return f"running {table.clock(time.time() - trial.started_s)}"
    reason = trial.reason.splitlines()[0] if trial.reason else ""
    shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 3]}..."
    return f"{trial.status}: {shown}" if shown else trial.status


def _number(value: float | None) -> str:
    return table.UNKNOWN if value is None else table.number(value)


def cell(value: object) -> str:
    """A value that was tried, as a table shows it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
