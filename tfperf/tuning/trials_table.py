"""The trials of a sweep as a table: live on a terminal, and complete at the end."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Sequence
from typing import TextIO

from tfperf import spec as specs
from tfperf.reporting import table
from tfperf.tuning import trial as trials
from tfperf.tuning import workload
from tfperf.tuning.objective import best_of, title
from tfperf.tuning.trial import Trial

_CLEAR_BELOW = "\x1b[J"
_LONGEST_REASON = 60
_SILENCE_S = 30.0


class LiveTable:
    """Shows the trials while they run: a table that is redrawn on a terminal, else a line as each trial ends.

    After half a minute without a line, those that are not for a terminal tell which trials are running.

    Args:
        stream: where to write, usually `sys.stderr`.
        spec: the sweep.
        project: the project directory.
        interactive: whether the stream is a terminal.
    """

    def __init__(self, stream: TextIO, *, spec: specs.SweepSpec, project: pathlib.Path, interactive: bool) -> None:
        self._stream = stream
        self._spec = spec
        self._project = project
        self._interactive = interactive
        self._drawn = 0
        self._written = time.monotonic()
        self._shown: set[str] = {trial.name for trial in trials.read_all(project) if trial.ended}

    def draw(self) -> None:
        """Shows what has changed since the last call."""
        found = trials.read_all(self._project)
        if self._interactive:
            self._redraw(text(found, spec=self._spec, project=self._project))
            return
        for trial in found:
            if trial.ended and trial.name not in self._shown:
                self._shown.add(trial.name)
                self._say(_line(trial, self._spec))
        if time.monotonic() - self._written >= _SILENCE_S:
            for trial in found:
                if not trial.ended:
                    self._say(_line(trial, self._spec))

    def say(self, line: str) -> None:
        """Writes a line that is not redrawn."""
        self._drawn = 0
        self._say(line)

    def _say(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()
        self._written = time.monotonic()

    def _redraw(self, drawn: str) -> None:
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        self._stream.write(f"{up}{_CLEAR_BELOW}{drawn}\n")
        self._stream.flush()
        self._drawn = drawn.count("\n") + 1


def text(found: Sequence[Trial], *, spec: specs.SweepSpec, project: pathlib.Path) -> str:
    """The table: one row per trial, with the best one marked."""
    best = best_of(found, objective=spec.objective)
    fields = [field for field, _ in spec.space]
    cells = [_cells(trial, spec, project / trials.FOLDER / trial.name) for trial in found]
    headers = ["", "trial", *(short_name(field, fields) for field in fields), *(cells[0] if cells else ()), "status"]
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
    return f"internal sweep, trial {len(found)} of at most {spec.most_trials}\n{table.columns(headers, rows)}"


def _cells(trial: Trial, spec: specs.SweepSpec, directory: pathlib.Path) -> dict[str, str]:
    """Header -> cell of what was measured. An objective that the workload shows as well appears once."""
    return {
        title(spec.objective): _number(trial.objective),
        **workload.of(spec.base).cells(trial, directory),
    }


def short_name(field: str, fields: Sequence[str]) -> str:
    """The last part of a dotted field, or the whole field if two end alike."""
    last = field.rpartition(".")[2]
    return field if sum(each.rpartition(".")[2] == last for each in fields) > 1 else last


def _line(trial: Trial, spec: specs.SweepSpec) -> str:
    fields = [field for field, _ in spec.space]
    values = ", ".join(f"{short_name(field, fields)}={cell(trial.values.get(field))}" for field in fields)
    measured = f"{spec.objective} {_number(trial.objective)}, " if trial.ended else ""
    return f"trial {trial.name}: {values}: {measured}{_status(trial)}"


def _status(trial: Trial) -> str:
    if not trial.ended:
        return f"running {table.clock(time.time() - trial.started_s)}"
    reason = trial.reason.splitlines()[0] if trial.reason else ""
    shown = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 3]}..."
    return f"{trial.status}: {shown}" if shown else trial.status


def _number(value: float | None) -> str:
    return table.UNKNOWN if value is None else table.number(value)


def cell(value: object) -> str:
    """A value as a table shows it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
