"""Sweeps over a training: each trial trains with its own seed and may be ended early."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.reporting import jsonl, table
from tfperf.tuning import search_space, training_job
from tfperf.tuning import trial as trials
from tfperf.tuning.project import Base, Project
from tfperf.tuning.training_job import TrainingJob
from tfperf.tuning.trial import Trial
from tfperf.tuning.trial_process import PlannedTrial

WHY_ALONE = ""
REPEATS = "new seeds"
NOISE = "seed noise"

_PROGRAM = "tfperf.tuning.training_trial"

# A field, or the first part of several fields, that would change what is measured, and why.
_FIXED = {
    "benchmark": "the sweep is over this benchmark",
    "division": "a sweep is internal",
    "quality_target": "the rules fix the target",
    "evaluation": "the rules fix when the model is evaluated",
    "seed": "each trial has its own, derived from the sweep's seed and its values",
    "data": "the rules fix the data",
    "submission": "it changes nothing that is measured",
    "telemetry": "it observes the machine and is no part of what is measured",
}


def why_fixed(field: str, spec: specs.SweepSpec, benchmark: Benchmark) -> str:
    """Why a field can't be varied; empty if it can."""
    if field.startswith("model.") and benchmarks.is_own(benchmark):
        free = {f"model.{name}" for name, _ in benchmarks.training_task(benchmark).tunable}
        if field not in free:
            return f"the rules fix the model; free are {', '.join(sorted(free)) or 'none of its options'}"
    if field == "max_epochs" and spec.search == "hyperband":
        return "Hyperband chooses the epochs of each trial"
    return _FIXED.get(field.partition(".")[0], "")


def trial(project: Project, name: str, chosen: Mapping[str, Any]) -> PlannedTrial:
    """A training with the values that keras-tuner chose, to be judged by the trials that have ended."""
    spec = project.spec
    values = search_space.decoded(spec.space, chosen)
    seed = trials.seed_of(values, sweep_seed=spec.seed)
    varied = _varied(spec.base, values, division=specs.Division.INTERNAL, seed=seed)
    before = [each for each in trials.read_all(project.path) if each.ended and each.curve]
    times = [each.time_to_target_s for each in before if each.time_to_target_s is not None]
    job = TrainingJob(
        objective=spec.objective,
        max_epochs=int(chosen.get("tuner/epochs", varied.max_epochs)),
        data_dir=_data_dir(project),
        device=project.workspace.device,
        early_stopping=spec.early_stopping,
        rivals=tuple(each.curve for each in before),
        best_time_s=min(times) if times else None,
    )
    return _planned(name, values, varied, job)


def repeat(project: Project, values: Mapping[str, Any], number: int) -> PlannedTrial:
    """A whole training with these values. Runs with the same number have the same seed, which no trial had."""
    spec = project.spec
    seed = trials.seed_of({"repeat": number}, sweep_seed=spec.seed)
    varied = _varied(spec.base, values, division=specs.Division.INTERNAL, seed=seed)
    assert varied.max_epochs is not None, "the base of a SweepSpec counts epochs"
    job = TrainingJob(
        objective=spec.objective,
        max_epochs=varied.max_epochs,
        data_dir=_data_dir(project),
        device=project.workspace.device,
    )
    return _planned(str(number), values, varied, job)


def best(base: Base, values: Mapping[str, Any]) -> specs.TrainSpec:
    """The base with these values, in the open division, with a new seed in each run."""
    return _varied(base, values, division=specs.Division.OPEN, seed=None)


def command(path: pathlib.Path, project: pathlib.Path) -> str:
    """The command that trains a config."""
    return shlex.join(("tfperf", "train", "--config", str(path)))


def cells(trial: Trial, directory: pathlib.Path) -> dict[str, str]:
    """The quality at the last evaluation, even while the trial runs, and the epochs."""
    quality = trial.quality if trial.ended else _quality_so_far(directory)
    return {
        "quality": table.UNKNOWN if quality is None else table.number(quality),
        "epochs": f"{trial.epochs}/{trial.max_epochs}" if trial.ended else f"of {trial.max_epochs}",
    }


def _varied(base: Base, values: Mapping[str, Any], *, division: specs.Division, seed: int | None) -> specs.TrainSpec:
    assert isinstance(base, specs.TrainSpec)  # which made this the workload
    return config.varied(base, values, task_of=benchmarks.task, division=division, seed=seed)


def _data_dir(project: Project) -> str | None:
    return None if project.workspace.data_dir is None else str(project.workspace.data_dir)


def _planned(name: str, values: Mapping[str, Any], varied: specs.TrainSpec, job: TrainingJob) -> PlannedTrial:
    return PlannedTrial(
        trial=Trial(name=name, values=values, seed=varied.seed, max_epochs=job.max_epochs),
        program=_PROGRAM,
        files=training_job.files(job, varied),
    )


def _quality_so_far(directory: pathlib.Path) -> float | None:
    path = directory / "events.jsonl"
    if not path.is_file():
        return None
    seen = [event.value for event in jsonl.read_events(path) if event.key == "eval_accuracy"]
    return float(seen[-1]) if seen else None
