"""What the process of a training trial is told: what to train, where, for what, and against whom."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from tfperf import benchmarks, config, spec
from tfperf.benchmarks.benchmark import Benchmark

NAME = "job.json"
SPEC = "spec.yaml"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One trial to train; its spec lies beside it.

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

    objective: spec.Objective
    max_epochs: int
    data_dir: str | None = None
    device: spec.Device | None = None
    early_stopping: spec.EarlyStopping | None = None
    rivals: tuple[tuple[tuple[int, float], ...], ...] = ()
    best_time_s: float | None = None
    division: str = "internal"


def files(job: TrainingJob, asked: spec.TrainSpec) -> dict[str, str]:
    """The job and its spec as files of the trial's directory: name -> text."""
    return {SPEC: config.dump(asked), NAME: json.dumps(dataclasses.asdict(job), indent=2) + "\n"}


def read(directory: pathlib.Path) -> tuple[TrainingJob, spec.TrainSpec, Benchmark]:
    """Reads what `files` gave, and finds the benchmark."""
    fields = json.loads((directory / NAME).read_text(encoding="utf-8"))
    fields["device"] = None if fields["device"] is None else spec.Device(**fields["device"])
    rule = fields["early_stopping"]
    fields["early_stopping"] = None if rule is None else spec.EarlyStopping(**rule)
    fields["rivals"] = tuple(tuple((epoch, quality) for epoch, quality in curve) for curve in fields["rivals"])
    asked = config.load(str(directory / SPEC), options_of=lambda name: benchmarks.get(name).training.options)
    return TrainingJob(**fields), asked, benchmarks.get(asked.benchmark)
