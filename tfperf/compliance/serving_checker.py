"""The verdict on the run directory of an inference run: what LoadGen's logs say, and whether the result says so too."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfperf import benchmarks, config, loadgen_log, manifest, result
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.compliance import audits, rounds, serving_inspection, serving_rules
from tfperf.compliance.serving_inspection import Expected
from tfperf.compliance.verdict import Verdict, Violation
from tfperf.errors import ConfigError
from tfperf.loadgen_log import LoadgenLog

_RESULT = "result.json"
_SPEC = "spec.yaml"
_LABELS = "val_map.txt"
_SCENARIOS = {name.lower(): name for name in loadgen_log.METRICS}
_NS_PER_MS = 1e6
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
    """A run directory that was read.

    Attributes:
        path: the directory.
        outcome: its `result.json`; None where it can't be read.
        unreadable: why not.
        performance: the detail log of the performance run, if there is one.
        accuracy: that of the accuracy run.
        task: how the benchmark is served, where tfperf knows it.
        rules: whether MLPerf's rules are for this run: one of its benchmarks, in one of its divisions.
    """

    path: pathlib.Path
    outcome: result.InferResult | None
    unreadable: str
    performance: LoadgenLog | None
    accuracy: LoadgenLog | None
    task: InferenceTask | None
    rules: bool

    @property
    def asked(self) -> Mapping[str, Any]:
        return {} if self.outcome is None else self.outcome.config

    @property
    def closed(self) -> bool:
        return self.rules and self.outcome is not None and self.outcome.division == "closed"


def is_run_directory(folder: pathlib.Path) -> bool:
    """Whether an inference run wrote this directory, however far it came."""
    if (folder / _SPEC).is_file():
        try:
            return config.verb(str(folder / _SPEC)) == "infer"
        except ConfigError:  # then its result may tell
            pass
    try:
        fields = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and fields.get("kind") == "infer"


def verdict(run_dir: pathlib.Path) -> Verdict:
    """The verdict on an inference run directory; stricter than MLCommons' checker, which is not run."""
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
        structure=None if run.rules else ("broken" if found else "ok"),
        minutes=serving_inspection.minutes(run.performance) if run.performance else None,
        status=_status(run),
        violations=found,
        notes=_notes(run),
    )


def _read(run_dir: pathlib.Path) -> _Run:
    outcome, unreadable = _outcome(run_dir / _RESULT)
    name = None if outcome is None else outcome.benchmark
    benchmark = benchmarks.get(name) if name in benchmarks.names() else None  # never imported: it comes from anywhere
    return _Run(
        path=run_dir,
        outcome=outcome,
        unreadable=unreadable,
        performance=_log(run_dir / "performance"),
        accuracy=_log(run_dir / "accuracy"),
        task=None if benchmark is None else benchmark.inference,
        rules=benchmark is not None and benchmark.mlperf and outcome is not None and outcome.division != "internal",
    )


def _outcome(path: pathlib.Path) -> tuple[result.InferResult | None, str]:
    try:
        found = result.read(path)
    except FileNotFoundError:
        return None, f"There is no {_RESULT}: the run was cut off or is still going on."
    except (OSError, ValueError, KeyError, TypeError) as error:
        return None, f"{_RESULT} can't be read: {error}."
    if not isinstance(found, result.InferResult):
        return None, f"{_RESULT} is of a training run."
    if not _is_spec(found.config):
        return None, f"{_RESULT} does not hold what the run was asked for."
    return found, ""


def _is_spec(asked: Mapping[str, Any]) -> bool:
    scenario = asked.get("scenario")
    one = isinstance(scenario, Mapping) and len(scenario) == 1 and isinstance(next(iter(scenario.values())), Mapping)
    return one and isinstance(asked.get("min_duration_s"), (int, float))


def _log(log_dir: pathlib.Path) -> LoadgenLog | None:
    try:
        return loadgen_log.read(log_dir)
    except OSError:  # reported as missing
        return None


def _status(run: _Run) -> str:
    if run.outcome is None or run.outcome.status == "incomplete":
        return "incomplete"
    if run.outcome.status == "failed":
        return "failed"
    if run.performance is None or not run.performance.ended or (_wants_accuracy(run) and not _ended(run.accuracy)):
        return "incomplete"
    return "success" if run.performance.values.get("result_validity") == "VALID" else "invalid"


def _ended(log: LoadgenLog | None) -> bool:
    return log is not None and log.ended


def _wants_accuracy(run: _Run) -> bool:
    return run.rules or bool(run.asked.get("accuracy", True))


def _notes(run: _Run) -> tuple[str, ...]:
    version = None if run.performance is None else run.performance.values.get("loadgen_version")
    told = () if version is None else (f"LoadGen {version}.",)
    if run.rules or run.outcome is None:
        return told
    if run.outcome.division == "internal" and run.task is not None:
        return (*told, "An internal run: held to what it asked for. It is no MLPerf result.")
    return (*told, f"{run.outcome.benchmark} is no MLPerf benchmark: held to what the run asked for.")


def _violations(run: _Run) -> Iterator[Violation]:
    if run.unreadable:
        yield Violation(message=run.unreadable)
    yield from serving_inspection.ended(run.performance, name="performance")
    if _wants_accuracy(run):
        yield from serving_inspection.ended(run.accuracy, name="accuracy")
    if run.outcome is not None:
        yield from _of_outcome(run, run.outcome)
    yield from _unbound(run.path)


def _of_outcome(run: _Run, outcome: result.InferResult) -> Iterator[Violation]:
    expected = _expected(run, outcome)
    told: list[str] = []
    if run.performance is not None and run.performance.ended:
        yield from serving_inspection.performance(run.performance, expected)
        yield from serving_inspection.ordinary(run.performance)
        yield from _retold(run.performance, outcome)
    if run.accuracy is not None and run.accuracy.ended:
        yield from serving_inspection.accuracy(run.accuracy, expected)
        yield from _quality(run, outcome)
    if run.closed and run.task is not None:
        for name in run.task.audits:
            yield from _audit(run, name, expected)
        told += outcome.closed_ineligible_because
    if not outcome.valid:
        told += outcome.reasons
    yield from (Violation(message=f"The run itself says: {text}") for text in dict.fromkeys(told))
    if outcome.division == "closed" and not run.rules:
        text = f"The division is closed, but {outcome.benchmark} is no MLPerf benchmark. Accepted: open, internal."
        yield Violation(message=text)


def _expected(run: _Run, outcome: result.InferResult) -> Expected:
    """By the rules where they are for this run, else by what it asked for."""
    asked, task = run.asked, run.task
    scenario, options = next(iter(asked["scenario"].items()))
    name = _SCENARIOS.get(scenario, scenario)
    if task is None or not run.rules:
        bound_ms = options.get("latency_bound_ms")
        of_task = None if task is None else task.server_latency_bound_ns
        return Expected(
            scenario=name,
            min_duration_s=asked["min_duration_s"],
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
    )


def _retold(log: LoadgenLog, outcome: result.InferResult) -> Iterator[Violation]:
    """What `result.json` says otherwise than the log."""
    logged, told = loadgen_log.metric(log), outcome.metric
    if told is None:
        if outcome.status == "success":
            yield Violation(message=f"{_RESULT} holds no metric.")
    elif logged is None or not _same(logged.value, told.value) or logged.unit != told.unit:
        of_log = "none" if logged is None else f"{logged.value:g} {logged.unit}"
        yield Violation(message=f"{_RESULT} says {told.value:g} {told.unit}; LoadGen's log says {of_log}.")
    for key, value in outcome.loadgen.items():
        if key in log.values and log.values[key] != value:
            yield Violation(message=f"{_RESULT} has {key} {value}; LoadGen's log says {log.values[key]}.", key=key)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _ROUNDING * abs(one)


def _quality(run: _Run, outcome: result.InferResult) -> Iterator[Violation]:
    told = outcome.accuracy
    if told is None or told.value is None:
        yield Violation(message=f"{_RESULT} holds no accuracy, though it was measured.")
        return
    if run.task is None:
        return
    recomputed = _recomputed(run.path / "accuracy", run.task)
    if isinstance(recomputed, str):
        yield Violation(message=recomputed)
    elif not _same(recomputed, told.value):
        text = f"{_RESULT} says {told.metric} {told.value:.6f}; LoadGen's log and {_LABELS} give {recomputed:.6f}."
        yield Violation(message=text)
    target = run.task.quality.value if run.rules else told.target
    if target is not None and not told.value >= target:
        text = f"The {told.metric} is {told.value:.6f}; the target is {target:g}."
        # MLCommons' checker only warns of it in the open division.
        yield Violation(message=text, source="submission_checker" if run.closed else "tfperf")


def _recomputed(log_dir: pathlib.Path, task: InferenceTask) -> float | str:
    """The quality by the log and the labels beside it, or why there is none."""
    if task.scoring.recompute is None:
        return f"The accuracy can't be recomputed from {log_dir}: the benchmark has no way to do it without its data."
    try:
        responses = {number: bytes.fromhex(data) for number, data in reversed(loadgen_log.responses(log_dir))}
        return task.scoring.recompute(log_dir, responses)
    except (OSError, ValueError) as error:
        return f"The accuracy can't be recomputed from {log_dir}: {error}"


def _audit(run: _Run, name: str, expected: Expected) -> Iterator[Violation]:
    folder = run.path / name
    log = _log(folder / "performance")
    if log is None or not log.ended:
        yield from serving_inspection.ended(log, name=name)
        return
    yield from serving_inspection.performance(log, expected, name=name)
    yield from serving_inspection.under_test(log, name=name)
    for file in (audits.ACCURACY_FILE, audits.PERFORMANCE_FILE)[name == "TEST04" :]:
        if not (folder / file).is_file():
            yield Violation(message=f"{name}/{file} is missing.", source="submission_checker")
    found = audits.compare(
        name, performance_dir=run.path / "performance", accuracy_dir=run.path / "accuracy", audit_dir=folder
    )
    for line in found.lines:
        if line.startswith(audits.FAIL):
            yield Violation(message=f"{name}: {line}", source="submission_checker")


def _unbound(run_dir: pathlib.Path) -> Iterator[Violation]:
    """What is not as the manifest says, or that there is none."""
    try:
        found = manifest.differences(run_dir)
    except FileNotFoundError:
        found = ("there is none, so nothing shows that the files are those that the run wrote",)
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = (f"it can't be read: {error}",)
    yield from (Violation(message=f"{manifest.NAME}: {difference}.") for difference in found)
