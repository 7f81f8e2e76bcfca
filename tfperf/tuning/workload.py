"""What a sweep varies: a training or a measurement under LoadGen."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.tuning import search_space, serving_workload, training_workload
from tfperf.tuning.project import Base, Project
from tfperf.tuning.trial import Trial
from tfperf.tuning.trial_process import PlannedTrial


class Workload(Protocol):
    """What the modules `training_workload` and `serving_workload` both define.

    Attributes:
        WHY_ALONE: why trials must run one at a time, on one machine; empty when several may run.
        REPEATS: what the comparison repeats, such as `new seeds`.
        NOISE: what an improvement must exceed, such as `seed noise`.
    """

    WHY_ALONE: str
    REPEATS: str
    NOISE: str

    def why_fixed(self, field: str, spec: specs.SweepSpec, benchmark: Benchmark) -> str:
        """Why a field can't be varied; empty if it can."""

    def trial(self, project: Project, name: str, chosen: Mapping[str, Any]) -> PlannedTrial:
        """A trial with the values that keras-tuner chose."""

    def repeat(self, project: Project, values: Mapping[str, Any], number: int) -> PlannedTrial:
        """One run for the comparison of the best values with the default ones."""

    def best(self, base: Base, values: Mapping[str, Any]) -> Base:
        """The config to write down: the base with these values, in the open division."""

    def command(self, path: pathlib.Path, project: pathlib.Path) -> str:
        """The command that runs this config."""

    def cells(self, trial: Trial, directory: pathlib.Path) -> Mapping[str, str]:
        """Header -> cell: what the table of trials shows beside the values and the objective."""


def of(base: Base) -> Workload:
    """The workload of a sweep with this base."""
    if isinstance(base, specs.InferSpec):
        return serving_workload
    return training_workload


def check(spec: specs.SweepSpec, benchmark: Benchmark) -> None:
    """Refuses a sweep over fields that can't be varied.

    Raises:
        ConfigError: every violation.
    """
    workload = of(spec.base)
    search_space.check(spec, why_fixed=lambda field: workload.why_fixed(field, spec, benchmark))
