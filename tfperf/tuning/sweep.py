"""One sweep, from its spec to the best config. Read `sweep` from top to bottom."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal

from tfperf import benchmarks, config, manifest, result, sign_of_life
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.errors import UsageError
from tfperf.inference.weights import Weights
from tfperf.system import devices, environment
from tfperf.tuning import best_config, comparison, objective, search, served_model, workload
from tfperf.tuning import project as projects
from tfperf.tuning import trial as trials
from tfperf.tuning.project import Base, Project
from tfperf.tuning.trial import Trial
from tfperf.tuning.trials_table import LiveTable
from tfperf.workspace import Workspace

# Environment variables of keras-tuner. If they are set, this host is one of several: the chief, or one of its workers.
_CHIEF = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")

# The best config -> the closed rules that it breaks, one line per field: `field: reason`.
ClosedRules = Callable[[Base], Sequence[str]]


def sweep(
    spec: specs.SweepSpec,
    benchmark: Benchmark,
    *,
    workspace: Workspace,
    closed_rules: ClosedRules,
    workers: int = 1,
    trained: Weights | None = None,
) -> tuple[result.SweepResult | None, pathlib.Path]:
    """Tries the values that the search proposes, finds the best trial, and compares it with the default.

    A sweep whose project directory already exists continues where it stopped.

    Args:
        spec: what to sweep. The caller has checked it with `workload.check`.
        benchmark: the benchmark of its base.
        workspace: where to read and write. Its `name` is the name of the project.
        closed_rules: checks the best config against the closed rules.
        workers: number of trials that run at the same time on this host.
        trained: the model to serve if the base is a measurement, else None.

    Returns:
        The result and the project directory. The result is None on a host that is a worker for another host's chief.

    Raises:
        TfperfError: the sweep can't run, the project belongs to another sweep or is damaged, or a process failed.
    """
    check_workers(spec, workers=workers)
    role = _role(workers)
    project = projects.open_or_make(spec, workspace)
    if trained is not None:
        served_model.bind(project.path, trained, benchmarks.inference_task(benchmark))
    shown = LiveTable(sys.stderr, spec=spec, project=project.path, interactive=sys.stderr.isatty())
    since = time.perf_counter()
    search.run(project, workers=workers, shown=shown)
    if role == "worker":
        return None, project.path
    found = trials.read_all(project.path)
    outcome = _outcome(project, benchmark, found, search_s=time.perf_counter() - since, workers=workers)
    chosen = objective.best_of(found, objective=spec.objective)
    if chosen is not None:
        outcome = _judged(project, outcome, chosen, closed_rules=closed_rules, workers=workers, shown=shown)
    result.write(project.path / projects.RESULT, outcome)
    manifest.write(project.path, division="internal", code_version=outcome.environment["code_version"])
    return outcome, project.path


def _role(workers: int) -> Literal["alone", "chief", "worker"]:
    """The role of this host in the sweep."""
    given = _chief_variables()
    if not given:
        return "alone"
    if len(given) < len(_CHIEF):
        missing = ", ".join(name for name in _CHIEF if name not in given)
        raise UsageError(f"{', '.join(given)} is set and {missing} is not. A sweep on several hosts needs all three.")
    if workers > 1:
        raise UsageError(
            f"--workers={workers} is for a sweep on one host, but KERASTUNER_ORACLE_IP is set. Leave one out."
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def _chief_variables() -> list[str]:
    return [name for name in _CHIEF if name in os.environ]


def check_workers(spec: specs.SweepSpec, *, workers: int) -> None:
    """Refuses concurrent trials if they would disturb each other's measurements.

    Raises:
        UsageError: says why they would, or what is missing in the environment.
    """
    why = workload.of(spec.base).WHY_ALONE
    if why and workers > 1:
        raise UsageError(f"--workers must be 1 for a measurement, got {workers}: {why}.")
    given = _chief_variables()
    if why and given:
        raise UsageError(f"{', '.join(given)} is set, but a measurement is swept on one host: {why}. Unset it.")
    _role(workers)


def _outcome(
    project: Project, benchmark: Benchmark, found: Sequence[Trial], *, search_s: float, workers: int
) -> result.SweepResult:
    spec = project.spec
    captured = {"division": "internal", **environment.capture(devices.present())}
    chosen = objective.best_of(found, objective=spec.objective)
    together = (
        f"{workers} trials ran at a time and shared the machine: a trial that runs alone has different times and rates."
    )
    return result.SweepResult(
        benchmark=benchmark.name,
        valid=chosen is not None,
        reasons=() if chosen is not None else (f"no trial has a {spec.objective}",),
        status="success" if chosen is not None else "failed",
        config=config.as_dict(spec),
        environment=captured,
        objective=spec.objective,
        direction=objective.DIRECTIONS[spec.objective],
        trials=tuple(_as_result(trial) for trial in found),
        best=None if chosen is None else chosen.name,
        best_values={} if chosen is None else chosen.values,
        default_values={field: config.value_of(spec.base, field) for field, _ in spec.space},
        measurements=(result.Measurement(name="search", value=search_s, unit="s"),),
        notes=(together,) if workers > 1 else (),
    )


def _judged(
    project: Project,
    outcome: result.SweepResult,
    chosen: Trial,
    *,
    closed_rules: ClosedRules,
    workers: int,
    shown: LiveTable,
) -> result.SweepResult:
    """Repeats the best trial and the default, writes the best config, and adds both to the outcome."""
    spec, of_base = project.spec, workload.of(project.spec.base)
    best_spec = of_base.best(spec.base, chosen.values)
    violations = tuple(closed_rules(best_spec))
    judged = dataclasses.replace(outcome, closed_rules=best_config.rulings(chosen.values, violations))
    if spec.repeats and not best_config.best_is_default(outcome):
        doing = f"repeating trial {chosen.name} and the default, {spec.repeats} {of_base.REPEATS} each"
        with sign_of_life.stage(doing, shown.say):
            compared = comparison.repeat(project, chosen.values, workers=workers if spec.objective == "quality" else 1)
        judged = dataclasses.replace(judged, comparison=compared)
    best_config.write(
        project.path / best_config.NAME, best_spec, outcome=judged, workload=of_base, violations=violations
    )
    return judged


def _as_result(trial: Trial) -> result.SweepTrial:
    return result.SweepTrial(
        **{field.name: getattr(trial, field.name) for field in dataclasses.fields(result.SweepTrial)}
    )
