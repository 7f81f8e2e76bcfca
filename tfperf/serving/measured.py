"""The parts of a result that come from a LoadGen run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfperf import loadgen_log, result
from tfperf.analysis import breakdown, invalidity, percentiles, serving
from tfperf.analysis import recorded as recorded_rows
from tfperf.analysis.recorded import Recorded
from tfperf.inference.job import LoadgenOutcome
from tfperf.loadgen_log import LoadgenLog

_MEAN = "result_mean_latency_ns"
_MEANS = {"MultiStream": "result_mean_query_latency_ns"}
_KEPT = ("result_", "effective_", "early_stopping_", "loadgen_version", "num_errors", "num_warnings", "test_datetime")
_OF_AN_ARCHIVE = ("query_every", "execution_every", "slowest_ns", "executed", "queries")
_FAILED = ("failed", "stuck", "killed", "leaked")


def recorded(outcome: LoadgenOutcome) -> Recorded:
    """The rows of a run, for analysis; evenly spaced ones, with what is known of all, if there were too many."""
    return recorded_rows.of(outcome.recording, outcome.archive)


def write_rows(path: pathlib.Path, rows: Recorded) -> None:
    """Writes all rows, as int64 columns, so that every number from them can be recomputed."""
    found = {field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)}
    if rows.queries is None:
        found = {name: values for name, values in found.items() if name not in _OF_AN_ARCHIVE}
    np.savez_compressed(path, **found)


def problems(outcome: LoadgenOutcome) -> tuple[str, ...]:
    """Why the run is not valid; empty if it is valid."""
    log = _log(outcome)
    settings = outcome.settings
    if outcome.status == "abandoned" and settings.latency_bound_ns and settings.target_qps:
        answered = outcome.recording.counter("samples") / outcome.measured_s if outcome.measured_s else 0.0
        return (
            invalidity.hopeless(
                outcome.failure,
                bound_ns=settings.latency_bound_ns,
                target_qps=settings.target_qps,
                answered_per_s=answered,
            ),
        )
    if outcome.status != "ended" or log is None:
        return (outcome.failure or f"the run is {outcome.status}",)
    single_ns = [time_ns for bucket, time_ns in outcome.execution_ns.items() if bucket.batch == 1]
    found = invalidity.explain(log, one_sample_ns=min(single_ns, default=None), other_cpu_share=outcome.other_cpu_share)
    retraced = f"The model was traced or compiled {outcome.retraces} times during the measurement."
    return (*found, *((retraced,) if outcome.retraces else ()))


def with_performance(before: result.InferResult, outcome: LoadgenOutcome) -> result.InferResult:
    """The result, with the numbers from the performance run added."""
    log = _log(outcome)
    values: Mapping[str, Any] = {} if log is None else log.values
    rows = recorded(outcome)
    found = problems(outcome)
    notes = serving.notes(rows, other_cpu_share=None if found else outcome.other_cpu_share)
    return dataclasses.replace(
        before,
        valid=not found,
        reasons=found,
        status="failed"
        if outcome.status in _FAILED
        else "incomplete"
        if outcome.status == "interrupted"
        else "invalid"
        if found
        else "success",
        metric=loadgen_log.metric(log) if log is not None and outcome.status == "ended" else None,
        loadgen={key: value for key, value in values.items() if key.startswith(_KEPT)},
        latency_ns=loadgen_log.latencies_ns(before.scenario, values),
        percentiles=_percentiles(rows) if before.scenario != "Offline" else (),
        batches=breakdown.executed_sizes(rows),
        notes=(*before.notes, *outcome.notes, *_lost(outcome), *notes),
        measurements=_measurements(before, outcome, rows, values),
    )


def _percentiles(rows: Recorded) -> tuple[result.Percentile, ...]:
    slowest_ns = None if rows.queries is None else rows.slowest_ns
    return percentiles.percentiles(rows.latency_ns, slowest_ns=slowest_ns, queries=rows.queries)


def _lost(outcome: LoadgenOutcome) -> tuple[str, ...]:
    lost = 0 if outcome.archive is None else outcome.archive.lost
    return (f"{lost:,} rows of the recording were overwritten before they could be read.",) if lost else ()


def p99_ns(outcome: LoadgenOutcome) -> float | None:
    """LoadGen's 99th latency percentile in Server; None if the run ended early or has errors."""
    log = _log(outcome)
    if outcome.status != "ended" or log is None:
        return None
    value = log.values.get("result_99.00_percentile_latency_ns")
    return None if value is None or log.errors else float(value)


def _measurements(
    before: result.InferResult, outcome: LoadgenOutcome, rows: Recorded, values: Mapping[str, Any]
) -> tuple[result.Measurement, ...]:
    mean_ns = values.get(_MEANS.get(before.scenario, _MEAN))
    found = serving.measurements(
        rows,
        scenario=before.scenario,
        instances=before.instances or 1,
        loadgen_mean_ns=mean_ns if outcome.recording.complete else None,
        memory_start_bytes=outcome.memory_start_bytes,
        memory_end_bytes=outcome.memory_end_bytes,
        other_cpu_share=outcome.other_cpu_share,
    )
    retraces = result.Measurement(name="retraces", value=outcome.retraces, unit="")
    return (*found, retraces, result.Measurement(name="measured", value=outcome.measured_s, unit="s"))


def _log(outcome: LoadgenOutcome) -> LoadgenLog | None:
    """The detail log; None if the run ended before LoadGen wrote one."""
    return loadgen_log.read(outcome.log_dir) if (outcome.log_dir / loadgen_log.DETAIL).exists() else None
