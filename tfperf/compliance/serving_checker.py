"""The verdict on the run directory of an inference run: whether LoadGen's logs and the result are good and agree."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tfperf import benchmarks, config, json_text, loadgen_log, result
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.compliance import audits, manifest_check, rounds, serving_inspection, serving_rules
from tfperf.compliance.serving_inspection import Expected
from tfperf.compliance.verdict import Verdict, Violation, broken
from tfperf.errors import ConfigError
from tfperf.loadgen_log import LoadgenLog

_RESULT = "result.json"
_SPEC = "spec.yaml"
_SCENARIOS = {name.lower(): name for name in loadgen_log.METRICS}
_NS_PER_MS = 1e6
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RunFiles:
    """The files of a run directory.

    Attributes:
        path: the directory.
        outcome: the content of `result.json`; None if it can't be read.
        unreadable: why it can't be read.
        performance: the detail log of the performance run; None if there is none.
        accuracy: the detail log of the accuracy run; None if there is none.
        task: how the benchmark is served; None if tfperf does not have it.
        rules: whether MLPerf's rules apply: an MLPerf benchmark in a division of MLPerf.
    """

    path: pathlib.Path
    outcome: result.InferResult | None
    unreadable: str
    performance: LoadgenLog | None
    accuracy: LoadgenLog | None
    task: InferenceTask | None
    rules: bool

    @property
    def spec(self) -> Mapping[str, Any]:
        return {} if self.outcome is None else self.outcome.config

    @property
    def closed(self) -> bool:
        return self.rules and self.outcome is not None and self.outcome.division == "closed"


def is_run_directory(folder: pathlib.Path) -> bool:
    """Whether an inference run wrote this directory, even if it did not finish."""
    if (folder / _SPEC).is_file():
        try:
            return config.verb(str(folder / _SPEC)) == "infer"
        except ConfigError:  # then its result may show it
            pass
    try:
        fields = json_text.parse((folder / _RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and fields.get("kind") == "infer"


def verdict(run_dir: pathlib.Path) -> Verdict:
    """The verdict on the run directory of an inference run, stricter than MLCommons' checker and without running it."""
    run = _read(run_dir)
    found = tuple(_violations(run))
    official = any(violation.source == "submission_checker" for violation in found)
    ruleset = rounds.of_log(run.performance.values) if run.performance else None
    return Verdict(
        path=str(run_dir),
        kind="infer",
        benchmark=None if run.outcome is None else run.outcome.benchmark,
        division=None if run.outcome is None else run.outcome.division,
        ruleset=None if ruleset is None else ruleset.name,
        compliant=not official if run.rules else None,
        structure=broken(found, by_rules=not run.rules),
        target=_target(run),
        minutes=serving_inspection.minutes(run.performance) if run.performance else None,
        status=_status(run),
        violations=found,
        notes=_notes(run),
    )


def _read(run_dir: pathlib.Path) -> _RunFiles:
    outcome, unreadable = _outcome(run_dir / _RESULT)
    name = None if outcome is None else outcome.benchmark
    # Only looked up and never imported, since a run directory may come from anywhere. A user's benchmark may have the
    # name of one of tfperf's; its spec then names the module.
    known = name in benchmarks.names() and outcome is not None and outcome.config.get("benchmark") == name
    benchmark = benchmarks.get(str(name)) if known else None
    mlperf = benchmark is not None and benchmarks.is_mlperf(benchmark)
    return _RunFiles(
        path=run_dir,
        outcome=outcome,
        unreadable=unreadable,
        performance=_log(run_dir / "performance"),
        accuracy=_log(run_dir / "accuracy"),
        task=None if benchmark is None else benchmark.inference,
        rules=mlperf and outcome is not None and outcome.division != "internal",
    )


def _outcome(path: pathlib.Path) -> tuple[result.InferResult | None, str]:
    try:
        found = result.read(path)
    except FileNotFoundError:
        return None, f"There is no {_RESULT}: the run was cut off or is still in progress."
    except (OSError, ValueError) as error:
        return None, f"{_RESULT} can't be read: {error}."
    if not isinstance(found, result.InferResult):
        return None, f"{_RESULT} is the result of a training run."
    if not _is_spec(found.config):
        return None, f"{_RESULT} lacks the spec of the run."
    return found, ""


def _is_spec(fields: Mapping[str, Any]) -> bool:
    scenario = fields.get("scenario")
    if not isinstance(scenario, Mapping) or len(scenario) != 1:
        return False
    (options,) = scenario.values()
    bound_ms = options.get("latency_bound_ms") if isinstance(options, Mapping) else ""
    return isinstance(fields.get("min_duration_s"), (int, float)) and isinstance(bound_ms, (int, float, type(None)))


def _log(log_dir: pathlib.Path) -> LoadgenLog | None:
    try:
        return loadgen_log.read(log_dir)
    except OSError:  # reported as missing
        return None


def _status(run: _RunFiles) -> str:
    if run.outcome is None or run.outcome.status == "incomplete":
        return "incomplete"
    if run.outcome.status == "failed":
        return "failed"
    if run.performance is None or not run.performance.ended or (_wants_accuracy(run) and not _ended(run.accuracy)):
        return "incomplete"
    return "success" if run.performance.values.get("result_validity") == "VALID" else "invalid"


def _ended(log: LoadgenLog | None) -> bool:
    return log is not None and log.ended


def _wants_accuracy(run: _RunFiles) -> bool:
    return run.rules or bool(run.spec.get("accuracy", True))


def _target(run: _RunFiles) -> Literal["reached", "not reached"] | None:
    """Whether the accuracy reached its target; None without one or the other."""
    stated = None if run.outcome is None else run.outcome.accuracy
    if stated is None or stated.value is None or stated.target is None:
        return None
    return "reached" if stated.value >= stated.target else "not reached"


def _notes(run: _RunFiles) -> tuple[str, ...]:
    version = None if run.performance is None else run.performance.values.get("loadgen_version")
    loadgen = () if version is None else (f"LoadGen {version}.",)
    if run.rules or run.outcome is None:
        return loadgen
    if run.outcome.division == "internal" and run.task is not None:
        return (*loadgen, "An internal run: checked against its own config. It is not an MLPerf result.")
    name = run.outcome.benchmark
    return (*loadgen, f"{name} is not an MLPerf benchmark: the run was checked against its own config.")


def _violations(run: _RunFiles) -> Iterator[Violation]:
    if run.unreadable:
        yield Violation(message=run.unreadable, about="structure")
    yield from serving_inspection.ended(run.performance, name="performance")
    if _wants_accuracy(run):
        yield from serving_inspection.ended(run.accuracy, name="accuracy")
    if run.outcome is not None:
        yield from _of_outcome(run, run.outcome)
    yield from manifest_check.violations(run.path)


def _of_outcome(run: _RunFiles, outcome: result.InferResult) -> Iterator[Violation]:
    expected = _expected(run, outcome)
    own_reasons: list[str] = []
    if run.performance is not None and run.performance.ended:
        yield from serving_inspection.performance(run.performance, expected)
        yield from serving_inspection.ordinary(run.performance)
        yield from _differences(run.performance, outcome)
    if run.accuracy is not None and run.accuracy.ended:
        yield from serving_inspection.accuracy(run.accuracy, expected)
        yield from _quality(run, outcome)
    if run.closed and run.task is not None:
        for name in run.task.audits:
            yield from _audit(run, run.task, name, expected)
        own_reasons += outcome.closed_ineligible_because
    if not outcome.valid:
        own_reasons += outcome.reasons
    for text in dict.fromkeys(own_reasons):
        yield Violation(message=f"The run itself says: {text}", about="target")
    if outcome.division == "closed" and not run.rules:
        text = f"The division is closed, but {outcome.benchmark} is not an MLPerf benchmark. Accepted: open, internal."
        yield Violation(message=text)


def _expected(run: _RunFiles, outcome: result.InferResult) -> Expected:
    """What MLPerf's rules require, or the run's own config where they do not apply."""
    spec, task = run.spec, run.task
    scenario, options = next(iter(spec["scenario"].items()))
    name = _SCENARIOS.get(scenario, scenario)
    if task is None or not run.rules:
        bound_ms = options.get("latency_bound_ms")
        of_task = None if task is None else task.server_latency_bound_ns
        return Expected(
            scenario=name,
            min_duration_s=spec["min_duration_s"],
            performance_samples=0,
            latency_bound_ns=of_task if bound_ms is None else bound_ms * _NS_PER_MS,
        )
    return Expected(
        scenario=name,
        min_duration_s=serving_rules.MIN_DURATION_S,
        performance_samples=task.performance_samples,
        eval_samples=task.eval_samples,
        offline_samples=serving_rules.offline_samples(task) if outcome.division == "closed" else 0,
        latency_bound_ns=task.server_latency_bound_ns,
        round=rounds.of_task(task),
    )


def _differences(log: LoadgenLog, outcome: result.InferResult) -> Iterator[Violation]:
    """Where `result.json` differs from the log."""
    logged, stated = loadgen_log.metric(log), outcome.metric
    if stated is None:
        if outcome.status == "success":
            yield Violation(message=f"{_RESULT} has no metric.")
    elif logged is None or not _same(logged.value, stated.value) or logged.unit != stated.unit:
        of_log = "none" if logged is None else f"{logged.value:g} {logged.unit}"
        yield Violation(message=f"{_RESULT} says {stated.value:g} {stated.unit}; LoadGen's log says {of_log}.")
    for key, value in outcome.loadgen.items():
        if key in log.values and log.values[key] != value:
            yield Violation(message=f"{_RESULT} has {key} {value}; LoadGen's log says {log.values[key]}.", key=key)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _ROUNDING * abs(one)


def _quality(run: _RunFiles, outcome: result.InferResult) -> Iterator[Violation]:
    stated = outcome.accuracy
    if stated is None or stated.value is None:
        yield Violation(message=f"{_RESULT} has no accuracy, although it was measured.")
        return
    yield from _responses(run, stated.metric, stated.value)
    if run.task is None:
        return
    target = run.task.quality.value if run.rules else stated.target
    if target is not None and not stated.value >= target:
        text = f"The {stated.metric} is {stated.value:.6f}; the target is {target:g}."
        # MLCommons' checker only warns about it in the open division.
        yield Violation(message=text, source="submission_checker" if run.closed else "tfperf", about="target")


def _responses(run: _RunFiles, metric: str, stated: float) -> Iterator[Violation]:
    """Samples without a response, and a quality that differs from what LoadGen's log and the scoring's files give."""
    log_dir, task = run.path / "accuracy", run.task
    try:
        answers = loadgen_log.answers(log_dir)
        yield from _unanswered(run, answers)
        recompute = None if task is None else task.scoring.recompute  # without it only the data set has the answers
        found = stated if recompute is None else recompute(log_dir, answers)
    except (OSError, ValueError) as error:
        yield Violation(message=f"The accuracy can't be recomputed from {log_dir}: {error}")
        return
    if task is not None and not _same(found, stated):
        files = " and ".join(("LoadGen's log", *task.scoring.files[1:]))
        yield Violation(message=f"{_RESULT} says {metric} {stated:.6f}; {files} give {found:.6f}.")


def _unanswered(run: _RunFiles, answers: Mapping[int, bytes]) -> Iterator[Violation]:
    """Samples that LoadGen issued in the accuracy run and that have no response: a score would leave them out."""
    total = None if run.accuracy is None else run.accuracy.values.get("effective_accuracy_sample_count")
    issued = total if isinstance(total, int) else 0
    missing = issued - sum(0 <= number < issued for number in answers)
    if missing > 0:
        first = next(number for number in itertools.count() if number not in answers)
        text = f"{missing} of {total} samples have no response in the accuracy run, such as number {first}."
        yield Violation(message=text)


def _audit(run: _RunFiles, task: InferenceTask, name: str, expected: Expected) -> Iterator[Violation]:
    folder = run.path / name
    log = _log(folder / "performance")
    if log is None or not log.ended:
        yield from serving_inspection.ended(log, name=name)
        return
    yield from serving_inspection.performance(log, expected, name=name)
    yield from serving_inspection.under_test(log, name=name)
    verdict = audits.recheck(name, run.path, task=task)
    for file in audits.files(verdict):
        if not (folder / file).is_file():
            yield Violation(message=f"{name}/{file} is missing.", source="submission_checker")
    for line in verdict.failures:
        yield Violation(message=f"{name}: {line}", source="submission_checker")
