"""Sweeps over a training: a trial trains with a seed of its own, and may be ended early."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfperf import benchmarks, config, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.reporting import jsonl, table
from tfperf.tuning import search_space, training_job
from tfperf.tuning import trial as trials
from tfperf.tuning.attempt import Plan
from tfperf.tuning.kind import Base, Kind
from tfperf.tuning.training_job import TrainingJob
from tfperf.tuning.trial import Trial

if TYPE_CHECKING:
    from tfperf.tuning.project import Project

_PROGRAM = "tfperf.tuning.training_trial"

# A field, or the first part of fields, that would change what is measured, with why.
_FIXED = {
    "benchmark": "it is what the sweep is of",
    "division": "a sweep is internal",
    "quality_target": "the rules fix the target",
    "evaluation": "the rules fix when the model is evaluated",
    "seed": "each trial has its own, from the sweep's seed and its values",
    "data": "the rules fix the data",
    "submission": "it changes nothing that is measured",
}


def options_of(benchmark: str) -> Any:
    """The default options of the model that a benchmark trains."""
    return benchmarks.get(benchmark).training.options


def why_fixed(field: str, asked: spec.SweepSpec, benchmark: Benchmark) -> str:
    """Why a field can't be varied; empty when it can."""
    free = {f"model.{name}" for name, _ in benchmark.training.tunable}
    if field.startswith("model.") and field not in free:
        return f"the rules fix the model; they leave free {', '.join(sorted(free)) or 'none of its options'}"
    if field == "max_epochs" and asked.search == "hyperband":
        return "Hyperband decides on the epochs of each trial"
    return _FIXED.get(field.partition(".")[0], "")


def trial(opened: Project, name: str, chosen: Mapping[str, Any]) -> Plan:
    """A trial with what keras-tuner chose, which is judged by those that have ended."""
    asked = opened.asked
    values = search_space.decoded(asked.space, chosen)
    seed = trials.seed_of(values, sweep_seed=asked.seed)
    varied = _varied(asked.base, values, division=spec.Division.INTERNAL, seed=seed)
    before = [each for each in trials.read_all(opened.path) if each.ended and each.curve]
    times = [each.time_to_target_s for each in before if each.time_to_target_s is not None]
    job = TrainingJob(
        objective=asked.objective,
        max_epochs=int(chosen.get("tuner/epochs", varied.max_epochs)),
        data_dir=_data_dir(opened),
        device=opened.place.device,
        early_stopping=asked.early_stopping,
        rivals=tuple(each.curve for each in before),
        best_time_s=min(times) if times else None,
    )
    return _plan(name, values, varied, job)


def repeat(opened: Project, values: Mapping[str, Any], number: int) -> Plan:
    """A training to its end with these values; those with the same number have the same seed, new to all trials."""
    asked = opened.asked
    seed = trials.seed_of({"repeat": number}, sweep_seed=asked.seed)
    varied = _varied(asked.base, values, division=spec.Division.INTERNAL, seed=seed)
    job = TrainingJob(
        objective=asked.objective,
        max_epochs=varied.max_epochs,
        data_dir=_data_dir(opened),
        device=opened.place.device,
    )
    return _plan(str(number), values, varied, job)


def best(base: Base, values: Mapping[str, Any]) -> spec.TrainSpec:
    """The base with these values, open, with a seed of each run's own."""
    return _varied(base, values, division=spec.Division.OPEN, seed=None)


def command(path: pathlib.Path, project: pathlib.Path) -> str:
    """How a config is trained."""
    return shlex.join(("tfperf", "train", "--config", str(path)))


def cells(shown: Trial, directory: pathlib.Path) -> dict[str, str]:
    """The quality at the last evaluation, also of a trial that is running, and the epochs."""
    quality, most = shown.quality if shown.ended else _quality_so_far(directory), shown.max_epochs
    return {
        "quality": table.UNKNOWN if quality is None else table.number(quality),
        "epochs": f"{shown.epochs}/{most}" if shown.ended else f"of {most}",
    }


def _varied(base: Base, values: Mapping[str, Any], *, division: spec.Division, seed: int | None) -> spec.TrainSpec:
    assert isinstance(base, spec.TrainSpec)  # by which this kind was chosen
    return config.varied(base, values, options_of=options_of, division=division, seed=seed)


def _data_dir(opened: Project) -> str | None:
    return None if opened.place.data_dir is None else str(opened.place.data_dir)


def _plan(name: str, values: Mapping[str, Any], varied: spec.TrainSpec, job: TrainingJob) -> Plan:
    return Plan(
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


KIND = Kind(
    options_of=options_of,
    why_fixed=why_fixed,
    trial=trial,
    repeat=repeat,
    best=best,
    command=command,
    cells=cells,
    why_alone="",
    repeats="new seeds",
    noise="seed noise",
)
