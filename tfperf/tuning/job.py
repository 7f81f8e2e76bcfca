"""What a trial's process is told: what to train, where, for what, and against whom."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from tfperf import benchmarks, config, spec
from tfperf.benchmarks.benchmark import Benchmark

NAME = "job.json"
SPEC = "spec.yaml"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One trial to run; its spec lies beside it.

    Attributes:
        objective: of the sweep.
        max_epochs: epochs that the trial is given.
        data_dir: where the data is; None for embedded data.
        device: what to run on; None for what there is.
        early_stopping: when it is stopped as hopeless.
        rivals: the curves of the trials that have ended.
        best_time_s: the shortest time to the target so far.
        division: always `internal`.
    """

    objective: str
    max_epochs: int
    data_dir: str | None = None
    device: spec.Device | None = None
    early_stopping: spec.EarlyStopping | None = None
    rivals: tuple[tuple[tuple[int, float], ...], ...] = ()
    best_time_s: float | None = None
    division: str = "internal"


def write(directory: pathlib.Path, job: Job, asked: spec.TrainSpec) -> None:
    """Writes the job and its spec into the trial's directory."""
    (directory / SPEC).write_text(config.dump(asked), encoding="utf-8")
    (directory / NAME).write_text(json.dumps(dataclasses.asdict(job), indent=2) + "\n", encoding="utf-8")


def read(directory: pathlib.Path) -> tuple[Job, spec.TrainSpec, Benchmark]:
    """Reads what `write` wrote, and finds the benchmark."""
    fields = json.loads((directory / NAME).read_text(encoding="utf-8"))
    fields["device"] = None if fields["device"] is None else spec.Device(**fields["device"])
    rule = fields["early_stopping"]
    fields["early_stopping"] = None if rule is None else spec.EarlyStopping(**rule)
    fields["rivals"] = tuple(tuple((epoch, quality) for epoch, quality in curve) for curve in fields["rivals"])
    asked = config.load(str(directory / SPEC), options_of=options_of)
    return Job(**fields), asked, benchmarks.get(asked.benchmark)


def options_of(name: str) -> Any:
    """The default options of a benchmark's model."""
    return benchmarks.get(name).training.options
