"""One trial of a sweep as a file: its values, how far it got and its results."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any, Literal

from tfperf import sweep_files, whole_file
from tfperf.errors import DamagedDataError

NAME = sweep_files.TRIAL
FOLDER = "trials"
_TRIAL_FOLDER = re.compile(r"\d+")

Status = Literal["running", "completed", "stopped", "failed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial.

    Attributes:
        name: its number in the sweep, as numbered by keras-tuner.
        values: field of the spec -> the value that is tried.
        seed: seeds the weights and the order of the examples; None for a trial that serves.
        max_epochs: epochs to train at most; None for a trial that serves.
        status: `completed` ran to its end, `stopped` was ended early, `failed` has no result.
        reason: why it was stopped or failed.
        objective: the value of the sweep's objective; None if there is none, such as the time to a missed target.
        score: what the search received; an estimate if there is no objective.
        quality: the quality at the last evaluation, or in the accuracy run of a trial that serves.
        executable: the compiled form that was served; None for a trial that trains.
        time_to_target_s: seconds on the clock until the target was reached.
        examples_per_s: training examples per second, without the evaluations.
        epochs: epochs trained.
        run_s: seconds on the clock.
        curve: (epoch, quality) of each evaluation.
        started_s: when it began, in seconds since the Unix epoch.
        division: always `internal`.
    """

    name: str
    values: Mapping[str, Any]
    seed: int | None = None
    max_epochs: int | None = None
    status: Status = "running"
    reason: str = ""
    objective: float | None = None
    score: float | None = None
    quality: float | None = None
    executable: str | None = None
    time_to_target_s: float | None = None
    examples_per_s: float | None = None
    epochs: int = 0
    run_s: float = 0.0
    curve: tuple[tuple[int, float], ...] = ()
    started_s: float = 0.0
    division: str = "internal"

    @property
    def ended(self) -> bool:
        """Whether the trial has ended, however it did."""
        return self.status != "running"


def write(directory: pathlib.Path, trial: Trial) -> None:
    """Writes `trial.json` atomically."""
    whole_file.write(directory / NAME, json.dumps(dataclasses.asdict(trial), indent=2, allow_nan=False) + "\n")


def read(directory: pathlib.Path) -> Trial:
    """Reads what `write` wrote.

    Raises:
        DamagedDataError: the file holds something else.
        FileNotFoundError: there is no file.
    """
    path = directory / NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["curve"] = tuple((epoch, quality) for epoch, quality in fields["curve"])
        return Trial(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedDataError(
            f"{path} is damaged ({error}). Delete the folder {directory}, and the trial is run again."
        ) from error


def read_all(project: pathlib.Path) -> tuple[Trial, ...]:
    """The trials that have begun, by number."""
    return read_folder(project / FOLDER)


def read_folder(folder: pathlib.Path) -> tuple[Trial, ...]:
    """The trials in a folder, by number. Interrupted attempts that were set aside are left out."""
    named = [path for path in folder.glob("*") if _TRIAL_FOLDER.fullmatch(path.name) and (path / NAME).is_file()]
    return tuple(read(path) for path in sorted(named, key=lambda path: int(path.name)))


def seed_of(values: Mapping[str, Any], *, sweep_seed: int) -> int:
    """The seed of a trial, from 0 to 2^31 - 1. The same values always get the same seed."""
    text = json.dumps([sweep_seed, sorted(values.items())])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def make_directory(directory: pathlib.Path) -> None:
    """Makes an empty directory. Renames one that an interrupted attempt left there, and never overwrites it."""
    if directory.exists():
        aside = (directory.with_name(f"{directory.name}-cut-off-{number}") for number in itertools.count(1))
        directory.rename(next(path for path in aside if not path.exists()))
    directory.mkdir(parents=True)
