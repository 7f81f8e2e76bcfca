"""Sweeps over a measurement under LoadGen: all trials serve the same model, one at a time."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.reporting import table
from tfperf.tuning import search_space, served_model, serving_trial
from tfperf.tuning.project import Base, Project
from tfperf.tuning.trial import Trial
from tfperf.tuning.trial_process import PlannedTrial

WHY_ALONE = "trials that run at the same time compete for the processors, and machines differ"
REPEATS = "new runs"
NOISE = "the noise between runs"

_PROGRAM = "tfperf.tuning.serving_trial"

_LENGTH = "it sets how much is measured, which must be the same in each trial"
# A field, or the first part of several fields, that would change what is measured, and why.
_FIXED = {
    "benchmark": "the sweep is over this benchmark",
    "division": "a sweep is internal",
    "scenario": "the scenario is what is measured",
    "data": "the rules fix the data",
    "model": "the weights belong to one model",
    "min_duration_s": _LENGTH,
    "min_queries": _LENGTH,
    "performance_samples": _LENGTH,
    "accuracy": "each trial must meet it",
    "quality_target": "the rules fix the target",
    "submission": "it changes nothing that is measured",
    "telemetry": "it observes the machine and is no part of what is measured",
}


def why_fixed(field: str, spec: specs.SweepSpec, benchmark: Benchmark) -> str:
    """Why a field can't be varied; empty if it can."""
    return _FIXED.get(field.partition(".")[0], "")


def trial(project: Project, name: str, chosen: Mapping[str, Any]) -> PlannedTrial:
    """A measurement with the values that keras-tuner chose."""
    return _planned(project, name, search_space.decoded(project.spec.space, chosen))


def repeat(project: Project, values: Mapping[str, Any], number: int) -> PlannedTrial:
    """One more measurement with these values."""
    return _planned(project, str(number), values)


def best(base: Base, values: Mapping[str, Any]) -> specs.InferSpec:
    """The base with these values, in the open division."""
    return _varied(base, values, division=specs.Division.OPEN)


def command(path: pathlib.Path, project: pathlib.Path) -> str:
    """The command that measures a config with the model that the sweep served."""
    return shlex.join(("tfperf", "infer", "--config", str(path), "--weights", str(served_model.read(project).path)))


def cells(trial: Trial, directory: pathlib.Path) -> dict[str, str]:
    """The accuracy, if it was measured, and the compiled form that was served."""
    return {
        "accuracy": table.UNKNOWN if trial.quality is None else table.number(trial.quality),
        "executable": trial.executable or table.UNKNOWN,
    }


def _varied(base: Base, values: Mapping[str, Any], *, division: specs.Division) -> specs.InferSpec:
    assert isinstance(base, specs.InferSpec)  # which made this the workload
    return config.varied(base, values, task_of=benchmarks.task, division=division)


def _planned(project: Project, name: str, values: Mapping[str, Any]) -> PlannedTrial:
    spec = _varied(project.spec.base, values, division=specs.Division.INTERNAL)
    arguments = serving_trial.arguments(served_model.read(project.path), project.workspace)
    return PlannedTrial(
        trial=Trial(name=name, values=values), program=_PROGRAM, files=serving_trial.files(spec, arguments)
    )
