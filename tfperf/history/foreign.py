"""Results that tfperf did not measure: folders with LoadGen's logs, also of submissions, and MLLOG files."""

from __future__ import annotations

import datetime
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tfperf import loadgen_log, result
from tfperf.compliance import checker, loadgen_summary, published
from tfperf.compliance.inspection import minutes as logged_minutes
from tfperf.compliance.loadgen_summary import LoadgenSummary
from tfperf.compliance.log import Log, holds_events, read
from tfperf.compliance.log_file import opened
from tfperf.compliance.verdict import Verdict
from tfperf.errors import DamagedDataError
from tfperf.result import InferResult, TrainResult
from tfperf.stored.run import Flaw, StoredRun

_STAMPS = ("%Y-%m-%dT%H:%M:%SZ", "%m-%d-%Y %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S")
# LoadGen's detail log was no MLLOG before v1.0; the summary has the same figures.
_IN_SUMMARY = {
    "Samples per second": "result_samples_per_second",
    "Scheduled samples per second": "result_scheduled_samples_per_sec",
    "Completed samples per second": "result_completed_samples_per_sec",
    "QPS w/ loadgen overhead": "result_qps_with_loadgen_overhead",
    **{
        f"{percent} percentile latency (ns)": f"result_{percent}_percentile_latency_ns"
        for percent in ("50.00", "90.00", "95.00", "99.00", "99.90")
    },
}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")


def of_loadgen(folder: pathlib.Path, *, path: pathlib.Path) -> StoredRun | None:
    """A measurement by LoadGen; None for a compliance test or an accuracy run alone, which are no results.

    Args:
        folder: the folder of the measurement.
        path: the same, as it is called in the history.
    """
    verdict = published.verdict(folder)
    place = published.place(folder.absolute())
    logs = [each for each in published.performance_folders(folder) if each.name != "accuracy"]
    if place.audit or not logs:
        return None
    values, scenario = _values(logs[-1])
    if scenario not in loadgen_log.METRICS:
        return None
    log = loadgen_log.LoadgenLog(values=values, errors=(), warnings=(), ended=True)
    outcome = InferResult(
        benchmark=place.benchmark,
        division=place.division or "unknown division",
        valid=verdict.status == "success" and verdict.compliant is not False,
        reasons=tuple(each.message for each in verdict.violations),
        closed_eligible=False,
        closed_ineligible_because=("tfperf did not measure it.",),
        status="success" if verdict.status == "success" else "invalid",
        config={"settings": _settings(values)},
        environment={"platform": place.system or "unknown system"},
        scenario=scenario,
        metric=_metric(log, scenario),
        loadgen=values,
        latency_ns=loadgen_log.latencies_ns(scenario, values),
        accuracy=None,
        executable=None,
    )
    started = _stamp(values.get("test_datetime") or values.get("power_begin"))
    return StoredRun(path=path, outcome=outcome, started=started, flaws=tuple(_flaws(verdict)))


def of_log(file: pathlib.Path, *, path: pathlib.Path) -> StoredRun | None:
    """A training by its MLLOG file; None if the file has no MLLOG lines, or is the log of something else.

    Args:
        file: the log.
        path: the same, as it is called in the history.

    Raises:
        DamagedDataError: it has such lines and can't be read.
    """
    try:
        with opened(file) as readable:
            if not holds_events(readable):
                return None
            log = read(file, file=readable)
            verdict = checker.verdict(log)
            return _trained(log, verdict, path=path)
    except OSError as error:
        raise DamagedDataError(f"It can't be read: {error.strerror}.") from error


def _trained(log: Log, verdict: Verdict, *, path: pathlib.Path) -> StoredRun | None:
    if log.first("run_start") is None and log.first("submission_benchmark") is None:
        return None
    minutes = logged_minutes(log)
    good = verdict.good
    evaluated = [line.value for line in log.all("eval_accuracy") if isinstance(line.value, int | float)]
    target = log.first("quality_target")
    started = log.first("run_start")
    outcome = TrainResult(
        benchmark=verdict.benchmark or "unknown benchmark",
        division=verdict.division or "unknown division",
        valid=good,
        reasons=tuple(each.message for each in verdict.violations),
        closed_eligible=False,
        closed_ineligible_because=("tfperf did not measure it.",),
        status="success" if verdict.status == "success" else "aborted",
        config={"settings": _hyperparameters(log)},
        environment={"platform": log.text("submission_platform") or "unknown system"},
        time_to_train_s=minutes * 60 if good and minutes is not None else None,
        run_s=(minutes or 0.0) * 60,
        quality=result.Quality(
            metric="quality",
            value=float(evaluated[-1]) if evaluated else None,
            target=float(target.value) if target is not None and isinstance(target.value, int | float) else None,
            reached=verdict.target == "reached",
        ),
        epochs=len(log.all("epoch_stop")),
        examples_per_s=None,
    )
    when = None if started is None else datetime.datetime.fromtimestamp(started.time_ms / 1e3, datetime.timezone.utc)
    return StoredRun(path=path, outcome=outcome, started=when, flaws=tuple(_flaws(verdict)))


def _flaws(verdict: Verdict) -> Iterator[tuple[Flaw, str]]:
    # LoadGen called it VALID. That it was no run of the closed division keeps it out of no trend but that division's.
    own = verdict.kind == "loadgen" and verdict.status == "success"
    if verdict.good or (own and (verdict.division != "closed" or verdict.compliant is not False)):
        return
    why = "; ".join(each.message for each in verdict.violations[:3]) or verdict.status
    if verdict.status == "incomplete":
        yield "incomplete", why
    elif verdict.target == "not reached":
        yield "missed", why
    else:
        yield "invalid", why


def _values(folder: pathlib.Path) -> tuple[dict[str, Any], str]:
    """LoadGen's values, and its name of the scenario."""
    detail, summary = folder / loadgen_log.DETAIL, folder / loadgen_log.SUMMARY
    values = dict(loadgen_log.read(folder).values) if detail.is_file() else {}
    if "effective_scenario" not in values and summary.is_file():
        values = _of_summary(loadgen_summary.read(summary))
    return values, str(values.get("effective_scenario"))


def _of_summary(summary: LoadgenSummary) -> dict[str, Any]:
    found: dict[str, Any] = {"effective_scenario": summary.fields.get("Scenario", "").replace(" ", "")}
    for name, key in _IN_SUMMARY.items():
        text = summary.fields.get(name, "")
        if _NUMBER.fullmatch(text):
            found[key] = float(text)
    return found


def _metric(log: loadgen_log.LoadgenLog, scenario: str) -> result.Measurement | None:
    """LoadGen's metric. Server counted scheduled samples before it counted completed ones."""
    found = loadgen_log.metric(log)
    if found is None and scenario == "Server":
        value = log.values.get("result_scheduled_samples_per_sec")
        if isinstance(value, int | float) and value:
            return result.Measurement(name="result_scheduled_samples_per_sec", value=float(value), unit="samples/s")
    return found


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of LoadGen, by which results differ even on one system."""
    names = ("effective_target_latency_ns", "effective_samples_per_query", "effective_min_duration_ms")
    return {name: values[name] for name in names if name in values}


def _hyperparameters(log: Log) -> dict[str, Any]:
    names = ("global_batch_size", "opt_name", "opt_base_learning_rate")
    return {name: line.value for name in names if (line := log.first(name)) is not None}


def _stamp(text: Any) -> datetime.datetime | None:
    for form in _STAMPS:
        try:
            return datetime.datetime.strptime(str(text), form).replace(tzinfo=datetime.timezone.utc)
        except ValueError:
            continue
    return None
