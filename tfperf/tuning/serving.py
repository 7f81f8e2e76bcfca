"""Sweeps over a measurement under LoadGen: a trial serves the model that all trials serve, alone on the machine."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfperf import benchmarks, config, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.reporting import table
from tfperf.tuning import search_space, served, serving_job
from tfperf.tuning.attempt import Plan
from tfperf.tuning.kind import Base, Kind
from tfperf.tuning.serving_job import ServingJob
from tfperf.tuning.trial import Trial

if TYPE_CHECKING:
    from tfperf.tuning.project import Project

_PROGRAM = "tfperf.tuning.serving_trial"

_LENGTH = "it is how much is measured, of which each trial must have as much"
# A field, or the first part of fields, that would change what is measured, with why.
_FIXED = {
    "benchmark": "it is what the sweep is of",
    "division": "a sweep is internal",
    "scenario": "it is what is measured",
    "data": "the rules fix the data",
    "model": "the weights are those of one model",
    "min_duration_s": _LENGTH,
    "min_queries": _LENGTH,
    "performance_samples": _LENGTH,
    "accuracy": "it is what each trial is held to",
    "quality_target": "the rules fix the target",
    "submission": "it changes nothing that is measured",
}


def options_of(benchmark: str) -> Any:
    """The default options of the model that a benchmark serves."""
    return benchmarks.inference_task(benchmark).options


def why_fixed(field: str, asked: spec.SweepSpec, benchmark: Benchmark) -> str:
    """Why a field can't be varied; empty when it can."""
    return _FIXED.get(field.partition(".")[0], "")


def trial(opened: Project, name: str, chosen: Mapping[str, Any]) -> Plan:
    """A measurement with what keras-tuner chose."""
    return _plan(opened, name, search_space.decoded(opened.asked.space, chosen))


def repeat(opened: Project, values: Mapping[str, Any], number: int) -> Plan:
    """One more measurement with these values."""
    return _plan(opened, str(number), values)


def best(base: Base, values: Mapping[str, Any]) -> spec.InferSpec:
    """The base with these values, open."""
    return _varied(base, values, division=spec.Division.OPEN)


def command(path: pathlib.Path, project: pathlib.Path) -> str:
    """How a config is measured with the model that the sweep served."""
    return shlex.join(("tfperf", "infer", "--config", str(path), "--weights", str(served.read(project).path)))


def cells(shown: Trial, directory: pathlib.Path) -> dict[str, str]:
    """The accuracy, where it was measured, and the compiled form that was served."""
    return {
        "accuracy": table.UNKNOWN if shown.quality is None else table.number(shown.quality),
        "executable": shown.executable or table.UNKNOWN,
    }


def _varied(base: Base, values: Mapping[str, Any], *, division: spec.Division) -> spec.InferSpec:
    assert isinstance(base, spec.InferSpec)  # by which this kind was chosen
    return config.varied(base, values, options_of=options_of, division=division)


def _plan(opened: Project, name: str, values: Mapping[str, Any]) -> Plan:
    asked = opened.asked
    job = ServingJob(arguments=serving_job.arguments(served.read(opened.path), opened.place))
    varied = _varied(asked.base, values, division=spec.Division.INTERNAL)
    return Plan(trial=Trial(name=name, values=values), program=_PROGRAM, files=serving_job.files(job, varied))


KIND = Kind(
    options_of=options_of,
    why_fixed=why_fixed,
    trial=trial,
    repeat=repeat,
    best=best,
    command=command,
    cells=cells,
    why_alone="trials that run beside each other take the processors from each other, and machines differ",
    repeats="new runs",
    noise="the noise between runs",
)
