"""What a log is of: an MLPerf benchmark, or one that is only built like it."""

from __future__ import annotations

import dataclasses

from tfperf import benchmarks
from tfperf.benchmarks.benchmark import TrainingTask
from tfperf.compliance import rulesets
from tfperf.compliance.log import Log

# Written by tfperf into each of its logs: the target, and as what the log is to be checked.
TARGET_KEY = "quality_target"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """The benchmark of a log.

    Attributes:
        name: as the log names it.
        official_name: the MLPerf benchmark as which it is checked; None if there is none.
        mlperf: whether it is that benchmark, and in a division of MLPerf.
        ruleset: by which tfperf says it is to be checked.
        target: the quality that the run itself set out to reach.
    """

    name: str | None
    official_name: str | None
    mlperf: bool
    ruleset: str | None = None
    target: float | None = None


def identify(log: Log) -> Subject:
    """Whose log this is.

    Names are looked up, never imported: a log comes from anywhere.
    """
    name = log.text("submission_benchmark")
    said = _said_by_tfperf(log)
    if name is None:
        guess = rulesets.benchmark_by_keys(log)
        return dataclasses.replace(said, official_name=said.official_name or guess, mlperf=_official_division(log))
    if rulesets.knowing(name):
        return dataclasses.replace(said, name=name, official_name=name, mlperf=_official_division(log))
    if name in benchmarks.names():
        return _of_task(benchmarks.get(name).training, name=name, said=said)
    return dataclasses.replace(said, name=name)


def task_of(official_name: str | None) -> TrainingTask | None:
    """What the rules say of an MLPerf benchmark, where tfperf has it."""
    tasks = [benchmarks.get(name).training for name in benchmarks.names() if benchmarks.get(name).mlperf]
    return next((task for task in tasks if task.submission_benchmark == official_name), None)


def _of_task(task: TrainingTask, *, name: str, said: Subject) -> Subject:
    return Subject(
        name=name,
        official_name=task.submission_benchmark,
        mlperf=False,
        ruleset=task.ruleset,
        target=task.quality.value if said.target is None else said.target,
    )


def _said_by_tfperf(log: Log) -> Subject:
    line = log.first(TARGET_KEY)
    if line is None or "checked_as" not in line.metadata or not isinstance(line.value, (int, float)):
        return Subject(name=None, official_name=None, mlperf=False)
    checked_as, ruleset = line.metadata.get("checked_as"), line.metadata.get("ruleset")
    known = isinstance(checked_as, str) and ruleset in rulesets.knowing(checked_as)
    return Subject(
        name=None,
        official_name=checked_as if known else None,
        mlperf=False,
        ruleset=ruleset if known else None,
        target=float(line.value),
    )


def _official_division(log: Log) -> bool:
    return log.text("submission_division") != "internal"
