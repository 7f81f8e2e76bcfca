"""What a training trial's process reads: what to train, on what, for which objective, and the earlier trials."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark

NAME = "job.json"
SPEC = "spec.yaml"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One trial to train. Its spec is a file beside it.

    Attributes:
        objective: the sweep's objective.
        max_epochs: epochs to train at most.
        data_dir: where the data is; None for embedded data.
        device: what to run on; None for the default.
        early_stopping: when the trial is stopped early; None for never.
        rivals: the curves of the trials that have ended.
        best_time_s: the shortest time to the target so far.
        division: always `internal`.
    """

    objective: specs.Objective
    max_epochs: int
    data_dir: str | None = None
    device: specs.Device | None = None
    early_stopping: specs.EarlyStopping | None = None
    rivals: tuple[tuple[tuple[int, float], ...], ...] = ()
    best_time_s: float | None = None
    division: str = "internal"


def files(job: TrainingJob, spec: specs.TrainSpec) -> dict[str, str]:
    """Name -> text of the files that hold the job and its spec in the trial's directory."""
    return {SPEC: config.dump(spec), NAME: json.dumps(dataclasses.asdict(job), indent=2) + "\n"}


def read(directory: pathlib.Path) -> tuple[TrainingJob, specs.TrainSpec, Benchmark]:
    """Reads what `files` returned, and finds the benchmark."""
    fields = json.loads((directory / NAME).read_text(encoding="utf-8"))
    fields["device"] = None if fields["device"] is None else specs.Device(**fields["device"])
    rule = fields["early_stopping"]
    fields["early_stopping"] = None if rule is None else specs.EarlyStopping(**rule)
    fields["rivals"] = tuple(tuple((epoch, quality) for epoch, quality in curve) for curve in fields["rivals"])
    spec = config.load(str(directory / SPEC), task_of=benchmarks.task)
    return TrainingJob(**fields), spec, benchmarks.get(spec.benchmark)
