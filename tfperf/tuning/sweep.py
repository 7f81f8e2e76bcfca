"""One sweep, from what was asked for to the best config, read from top to bottom."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal

from tfperf import config, manifest, result, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.directory import Place
from tfperf.errors import UsageError
from tfperf.inference.weights import Weights
from tfperf.system import devices, environment
from tfperf.tuning import best, kinds, objective, project, repeats, search, served, trials_table
from tfperf.tuning import trial as trials
from tfperf.tuning.kind import Base
from tfperf.tuning.project import Project
from tfperf.tuning.trial import Trial
from tfperf.tuning.trials_table import LiveTable

# Keras-tuner's own names; a host that has them takes part in a sweep that is led elsewhere, or leads it.
_CHIEF = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")

# The best config -> what keeps it out of the closed division, a line for each field: `field: why`.
ClosedRules = Callable[[Base], Sequence[str]]


def sweep(
    asked: spec.SweepSpec,
    benchmark: Benchmark,
    *,
    place: Place,
    closed_rules: ClosedRules,
    workers: int = 1,
    trained: Weights | None = None,
) -> tuple[result.SweepResult | None, pathlib.Path]:
    """Tries what the search proposes and says what was best, and how sure that is.

    A sweep whose project is there already goes on where it stopped.

    Args:
        asked: what to sweep, complete, and let pass by `kinds.check`.
        benchmark: the benchmark of its base.
        place: where to read and write; `name` is the project's.
        closed_rules: judges the best config.
        workers: trials at a time on this host, by keras-tuner's chief and workers.
        trained: the model to serve, where the base is a measurement; else None.

    Returns:
        The result, and the project directory; no result on a host that only works for a chief elsewhere.

    Raises:
        TfperfError: what was asked for can't be run, the project is another's or damaged, or a process of it failed.
    """
    role = _role(workers)
    _check_alone(asked, role, workers=workers)
    opened = project.open_or_make(asked, place)
    if trained is not None:
        served.bind(opened.path, trained)
    shown = LiveTable(sys.stderr, asked=asked, project=opened.path, interactive=sys.stderr.isatty())
    since = time.perf_counter()
    search.run(opened, workers=workers, shown=shown)
    if role == "worker":
        return None, opened.path
    found = trials.read_all(opened.path)
    outcome = _outcome(opened, benchmark, found, search_s=time.perf_counter() - since, workers=workers)
    chosen = trials_table.best_of(found, objective=asked.objective)
    if chosen is not None:
        outcome = _judged(opened, outcome, chosen, closed_rules=closed_rules, workers=workers, shown=shown)
    result.write(opened.path / project.RESULT, outcome)
    manifest.write(opened.path, division="internal", code_version=outcome.environment["code_version"])
    return outcome, opened.path


def _role(workers: int) -> Literal["alone", "chief", "worker"]:
    """What this host is in the sweep."""
    given = [name for name in _CHIEF if name in os.environ]
    if not given:
        return "alone"
    if len(given) < len(_CHIEF):
        missing = ", ".join(name for name in _CHIEF if name not in given)
        raise UsageError(f"{', '.join(given)} is set and {missing} is not. A sweep over several hosts needs all three.")
    if workers > 1:
        raise UsageError(f"--workers={workers} is for one host, and KERASTUNER_ORACLE_IP is set. Leave one out.")
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def _check_alone(asked: spec.SweepSpec, role: str, *, workers: int) -> None:
    """Refuses several trials at a time where they would disturb each other."""
    why = kinds.of(asked.base).why_alone
    if why and workers > 1:
        raise UsageError(f"--workers must be 1 for a measurement, got {workers}: {why}.")
    if why and role != "alone":
        raise UsageError(f"KERASTUNER_ORACLE_IP is set, and a measurement is swept on one host: {why}. Unset it.")


def _outcome(
    opened: Project, benchmark: Benchmark, found: Sequence[Trial], *, search_s: float, workers: int
) -> result.SweepResult:
    asked = opened.asked
    captured = {"division": "internal", **environment.capture(devices.present())}
    chosen = trials_table.best_of(found, objective=asked.objective)
    together = (
        f"{workers} trials ran at a time and shared the machine: their times and rates are not those of one alone."
    )
    return result.SweepResult(
        benchmark=benchmark.name,
        valid=chosen is not None,
        reasons=() if chosen is not None else (f"no trial has a {asked.objective}",),
        status="success" if chosen is not None else "failed",
        config=config.as_dict(asked),
        environment=captured,
        objective=asked.objective,
        direction=objective.DIRECTIONS[asked.objective],
        trials=best.trials_of(found),
        best=None if chosen is None else chosen.name,
        best_values={} if chosen is None else chosen.values,
        default_values={field: config.value_of(asked.base, field) for field, _ in asked.space},
        measurements=(result.Measurement(name="search", value=search_s, unit="s"),),
        notes=(together,) if workers > 1 else (),
    )


def _judged(
    opened: Project,
    outcome: result.SweepResult,
    chosen: Trial,
    *,
    closed_rules: ClosedRules,
    workers: int,
    shown: LiveTable,
) -> result.SweepResult:
    """The outcome with the best trial repeated beside the default, and its config written down."""
    asked, kind = opened.asked, kinds.of(opened.asked.base)
    best_spec = kind.best(asked.base, chosen.values)
    violations = tuple(closed_rules(best_spec))
    judged = dataclasses.replace(outcome, closed_rules=best.rulings(chosen.values, violations))
    if asked.repeats:
        shown.say(f"repeating trial {chosen.name} and the default, {asked.repeats} {kind.repeats} each")
        compared = repeats.run(opened, chosen.values, workers=workers if asked.objective == "quality" else 1)
        judged = dataclasses.replace(judged, comparison=compared)
    best.write(opened.path / best.NAME, best_spec, outcome=judged, kind=kind, violations=violations)
    return judged
