"""What a sweep does in one way for a training and in another for a measurement."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.tuning.attempt import Plan
from tfperf.tuning.trial import Trial

if TYPE_CHECKING:
    from tfperf.tuning.project import Project

Base = spec.TrainSpec | spec.InferSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """How a sweep treats its base.

    Attributes:
        options_of: benchmark name -> the default options of its model.
        why_fixed: (field, sweep, its benchmark) -> why the field can't be varied; empty when it can.
        trial: (project, name, what keras-tuner chose) -> one trial.
        repeat: (project, values, number) -> one run of the comparison of the best values with the default ones.
        best: (base, values) -> the config to be written down, in the open division.
        command: (path of that config, project) -> how a user runs it.
        cells: (trial, its directory) -> header -> cell, what the table of trials shows beside values and objective.
        why_alone: why no two trials may run at a time, on one machine or several; empty when they may.
        repeats: what the comparison is over, such as `new seeds`.
        noise: what an improvement must be beyond, such as `seed noise`.
    """

    options_of: Callable[[str], Any]
    why_fixed: Callable[[str, spec.SweepSpec, Benchmark], str]
    trial: Callable[[Project, str, Mapping[str, Any]], Plan]
    repeat: Callable[[Project, Mapping[str, Any], int], Plan]
    best: Callable[[Base, Mapping[str, Any]], Base]
    command: Callable[[pathlib.Path, pathlib.Path], str]
    cells: Callable[[Trial, pathlib.Path], Mapping[str, str]]
    why_alone: str
    repeats: str
    noise: str
