"""One trial of a sweep as a file: what was tried, how far it came and what it gave."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from tfperf import sweep_files
from tfperf.errors import DamagedDataError

NAME = sweep_files.TRIAL
FOLDER = "trials"
_OF_A_TRIAL = re.compile(r"\d+")

Status = Literal["running", "completed", "stopped", "failed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial.

    Attributes:
        name: its number in the sweep, as keras-tuner counts.
        values: field of the spec -> the value that was tried.
        seed: of the weights and of the order of the examples; None of a trial that serves.
        max_epochs: epochs that it is given; None of a trial that serves.
        status: `completed` came to its end, `stopped` was ended early as hopeless, `failed` gave nothing.
        reason: why it was stopped or has failed, in plain words.
        objective: what the sweep is for; None where there is none, such as the time to a target that was missed.
        score: what the search was told; an estimate where there is no objective.
        quality: at the last evaluation; of a trial that serves, of the accuracy run.
        executable: the compiled form that was served; None of a trial that trains.
        time_to_target_s: seconds on the clock until the target was reached.
        examples_per_s: of training, evaluations left out.
        epochs: trained.
        run_s: seconds on the clock.
        curve: (epoch, quality) of each evaluation.
        started_s: when it began, seconds since the Unix epoch.
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
        """Whether nothing more will come."""
        return self.status != "running"


def write(directory: pathlib.Path, trial: Trial) -> None:
    """Writes `trial.json`; a reader sees the whole file or the one before it."""
    partial = directory / f"{NAME}.partial"
    partial.write_text(json.dumps(dataclasses.asdict(trial), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(partial, directory / NAME)


def read(directory: pathlib.Path) -> Trial:
    """Reads what `write` wrote.

    Raises:
        DamagedDataError: the file is something else.
        FileNotFoundError: there is none.
    """
    path = directory / NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["curve"] = tuple((epoch, quality) for epoch, quality in fields["curve"])
        return Trial(**fields)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedDataError(
            f"{path} is damaged ({error}). Delete the folder {directory}: it is tried again."
        ) from error


def read_all(project: pathlib.Path) -> tuple[Trial, ...]:
    """Every trial that has begun, by number."""
    return read_folder(project / FOLDER)


def read_folder(folder: pathlib.Path) -> tuple[Trial, ...]:
    """The trials in a folder, by number; attempts that were cut off and set aside are left out."""
    named = [path for path in folder.glob("*") if _OF_A_TRIAL.fullmatch(path.name) and (path / NAME).is_file()]
    return tuple(read(path) for path in sorted(named, key=lambda path: int(path.name)))


def seed_of(values: Mapping[str, Any], *, sweep_seed: int) -> int:
    """The seed of a trial, from 0 to 2^31 - 1: another for other values, the same when it is tried again."""
    text = json.dumps([sweep_seed, sorted(values.items())])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def free_directory(directory: pathlib.Path) -> None:
    """Makes the directory anew; what an attempt that was cut off left there is set aside, never overwritten."""
    if directory.exists():
        aside = (directory.with_name(f"{directory.name}-cut-off-{number}") for number in _from_one())
        directory.rename(next(path for path in aside if not path.exists()))
    directory.mkdir(parents=True)


def _from_one() -> Iterable[int]:
    return iter(range(1, 1_000_000))
