"""The benchmark of a training log: an MLPerf benchmark, or one that is only built like it."""

from __future__ import annotations

import dataclasses

from tfperf import benchmarks
from tfperf.benchmarks.benchmark import TrainingTask
from tfperf.compliance import official_benchmarks, rulesets
from tfperf.compliance.log import Log

# Written by tfperf into each of its logs: the target, with the benchmark and the ruleset to check the log by.
TARGET_KEY = "quality_target"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggedBenchmark:
    """The benchmark of a log.

    Attributes:
        name: its name in the log.
        official_name: the MLPerf benchmark by whose rules the log is checked; None if there is none.
        mlperf: whether it is that benchmark itself, in a division of MLPerf.
        ruleset: the ruleset that tfperf wrote into the log.
        target: the run's own quality target.
    """

    name: str | None
    official_name: str | None
    mlperf: bool
    ruleset: str | None = None
    target: float | None = None


def identify(log: Log) -> LoggedBenchmark:
    """The benchmark of a log. Names are looked up and never imported, since a log may come from anywhere."""
    name = log.text("submission_benchmark")
    noted = _noted_by_tfperf(log)
    if name is None:
        guess = official_benchmarks.with_keys({line.key for line in log.lines})
        return dataclasses.replace(noted, official_name=noted.official_name or guess, mlperf=_official_division(log))
    if rulesets.knowing(name):
        return dataclasses.replace(noted, name=name, official_name=name, mlperf=_official_division(log))
    task = benchmarks.get(name).training if name in benchmarks.names() else None
    if task is not None:
        return _of_task(task, name=name, noted=noted)
    return dataclasses.replace(noted, name=name)


def task_of(official_name: str | None) -> TrainingTask | None:
    """The task of an MLPerf benchmark, if tfperf has it."""
    known = [benchmarks.get(name) for name in benchmarks.names()]
    tasks = [benchmark.training for benchmark in known if benchmark.mlperf and benchmark.training is not None]
    return next((task for task in tasks if task.submission_benchmark == official_name), None)


def _of_task(task: TrainingTask, *, name: str, noted: LoggedBenchmark) -> LoggedBenchmark:
    return LoggedBenchmark(
        name=name,
        official_name=task.submission_benchmark,
        mlperf=False,
        ruleset=task.ruleset,
        target=task.quality.value if noted.target is None else noted.target,
    )


def _noted_by_tfperf(log: Log) -> LoggedBenchmark:
    line = log.first(TARGET_KEY)
    if line is None or "checked_as" not in line.metadata or not isinstance(line.value, (int, float)):
        return LoggedBenchmark(name=None, official_name=None, mlperf=False)
    checked_as, ruleset = line.metadata.get("checked_as"), line.metadata.get("ruleset")
    known = isinstance(checked_as, str) and ruleset in rulesets.knowing(checked_as)
    return LoggedBenchmark(
        name=None,
        official_name=checked_as if known else None,
        mlperf=False,
        ruleset=ruleset if known else None,
        target=float(line.value),
    )


def _official_division(log: Log) -> bool:
    return log.text("submission_division") != "internal"
