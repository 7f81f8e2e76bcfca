"""The benchmark of a training log: an MLPerf benchmark, or one that is only built like it."""

from __future__ import annotations

import dataclasses
import sys
from typing import TypeGuard

from tfperf import benchmarks
from tfperf.benchmarks.benchmark import TrainingTask
from tfperf.compliance import official_benchmarks, rulesets
from tfperf.compliance.log import Log

# Written by tfperf into each of its logs: the target, with the benchmark and the ruleset to check the log by.
TARGET_KEY = "quality_target"
# In its metadata: whether the benchmark is MLPerf's. A user's own may have any name.
MLPERF_MARK = "mlperf"
# In its metadata, only in a run whose evaluations are scheduled in samples: `samples`, which `epoch_num` then counts.
UNIT_MARK = "counts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggedBenchmark:
    """The benchmark of a log.

    Attributes:
        name: its name in the log.
        official_name: the MLPerf benchmark by whose rules the log is checked; None if there is none.
        mlperf: whether it is that benchmark itself, in a division of MLPerf.
        ruleset: the ruleset that tfperf wrote into the log.
        target: the run's own quality target.
        metric: the metric of the target.
        mode: `min` if the target is reached from above.
    """

    name: str | None
    official_name: str | None
    mlperf: bool
    ruleset: str | None = None
    target: float | None = None
    metric: str | None = None
    mode: str = "max"


def identify(log: Log) -> LoggedBenchmark:
    """The benchmark of a log. Names are looked up and never imported, since a log may come from anywhere."""
    name = log.text("submission_benchmark")
    noted = _noted_by_tfperf(log)
    if name is None:
        guess = official_benchmarks.with_keys({line.key for line in log.lines})
        return dataclasses.replace(noted, official_name=noted.official_name or guess, mlperf=_official_division(log))
    if rulesets.knowing(name) and not _of_a_user(log):
        return dataclasses.replace(noted, name=name, official_name=name, mlperf=_official_division(log))
    task = benchmarks.get(name).training if name in benchmarks.names() else None
    if task is not None:
        return _of_task(task, name=name, noted=noted)
    return dataclasses.replace(noted, name=name)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a logged value is a number that fits a float; infinity and NaN do."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= sys.float_info.max)


def task_of(official_name: str | None) -> TrainingTask | None:
    """The task of an MLPerf benchmark, if tfperf has it."""
    known = [benchmarks.get(name) for name in benchmarks.names()]
    tasks = [benchmark.training for benchmark in known if benchmark.mlperf and benchmark.training is not None]
    return next((task for task in tasks if task.submission_benchmark == official_name), None)


def _of_task(task: TrainingTask, *, name: str, noted: LoggedBenchmark) -> LoggedBenchmark:
    """What the log notes, since a user's benchmark may have this name, and otherwise what the task says."""
    return dataclasses.replace(
        noted,
        name=name,
        official_name=noted.official_name or task.submission_benchmark,
        ruleset=noted.ruleset or task.ruleset,
        target=task.quality.value if noted.target is None else noted.target,
        metric=noted.metric or task.quality.metric,
    )


def _noted_by_tfperf(log: Log) -> LoggedBenchmark:
    line = log.first(TARGET_KEY)
    if line is None or not is_number(line.value):
        return LoggedBenchmark(name=None, official_name=None, mlperf=False)
    checked_as, ruleset = line.metadata.get("checked_as"), line.metadata.get("ruleset")
    known = isinstance(checked_as, str) and ruleset in rulesets.knowing(checked_as)
    return LoggedBenchmark(
        name=None,
        official_name=checked_as if known else None,
        mlperf=False,
        ruleset=ruleset if known else None,
        target=float(line.value),
        metric=metric if isinstance(metric := line.metadata.get("metric"), str) else None,
        mode="min" if line.metadata.get("mode") == "min" else "max",
    )


def _of_a_user(log: Log) -> bool:
    """Whether tfperf wrote that the benchmark is a user's own, which may have the name of one of MLPerf's."""
    line = log.first(TARGET_KEY)
    return line is not None and line.metadata.get(MLPERF_MARK) is False


def _official_division(log: Log) -> bool:
    return log.text("submission_division") != "internal"
