"""What a run in LoadGen says, as parts of a result."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfperf import loadgen_log, result
from tfperf.analysis import breakdown, invalidity, percentiles, serving
from tfperf.analysis.recorded import Recorded
from tfperf.inference.job import LoadgenOutcome
from tfperf.inference.recording import Recording
from tfperf.loadgen_log import LoadgenLog

_MEAN = "result_mean_latency_ns"
_MEANS = {"MultiStream": "result_mean_query_latency_ns"}
_PERCENTILES = {"p50": "50.00", "p90": "90.00", "p95": "95.00", "p99": "99.00", "p99_9": "99.90"}
_KEPT = ("result_", "effective_", "early_stopping_", "loadgen_version", "num_errors", "num_warnings", "test_datetime")


def recorded(recording: Recording) -> Recorded:
    """The rows of a recording as the analysis takes them."""
    return Recorded(
        issued_ns=recording.query("issued_ns"),
        latency_ns=recording.query("latency_ns"),
        queue_ns=recording.query("queue_ns"),
        started_ns=recording.execution("started_ns"),
        staging_ns=recording.execution("staging_ns"),
        compute_ns=recording.execution("compute_ns"),
        samples=recording.execution("samples"),
        batch_size=recording.execution("batch_size"),
        length=recording.execution("length"),
    )


def write_rows(path: pathlib.Path, rows: Recorded) -> None:
    """Writes every row that the SUT recorded, so that what is said of them can be computed again: int64 columns."""
    np.savez_compressed(path, **{field.name: getattr(rows, field.name) for field in dataclasses.fields(rows)})


def other_cpu_share(run: LoadgenOutcome) -> float | None:
    """Of the machine's processor time during the measurement, what other processes took; None where nothing tells."""
    if run.other_cpu_s is None or not run.measured_s:
        return None
    return run.other_cpu_s / (run.measured_s * (os.cpu_count() or 1))


def problems(run: LoadgenOutcome) -> tuple[str, ...]:
    """Why the run is not valid, in plain words; empty when it is."""
    log = _log(run)
    if run.status != "ended" or log is None:
        return (run.failure or f"the run is {run.status}",)
    one_sample_ns = min((time_ns for bucket, time_ns in run.execution_ns.items() if bucket.batch == 1), default=None)
    retraced = f"The model was traced or compiled {run.retraces} times during the measurement."
    found = invalidity.explain(log, one_sample_ns=one_sample_ns, other_cpu_share=other_cpu_share(run))
    return (*found, *((retraced,) if run.retraces else ()))


def with_performance(outcome: result.InferResult, run: LoadgenOutcome) -> result.InferResult:
    """The result with what its performance run says."""
    log = _log(run)
    values: Mapping[str, Any] = {} if log is None else log.values
    rows = recorded(run.recording)
    found = problems(run)
    failed = run.status in ("failed", "stuck", "killed", "leaked")
    return dataclasses.replace(
        outcome,
        valid=not found,
        reasons=found,
        status="failed"
        if failed
        else "incomplete"
        if run.status == "interrupted"
        else "invalid"
        if found
        else "success",
        metric=loadgen_log.metric(log) if log is not None and run.status == "ended" else None,
        loadgen={key: value for key, value in values.items() if key.startswith(_KEPT)},
        latency_ns=_latencies(outcome.scenario, values),
        percentiles=percentiles.percentiles(rows.latency_ns) if outcome.scenario != "Offline" else (),
        batches=breakdown.executed_sizes(rows),
        notes=(
            *outcome.notes,
            *run.notes,
            *serving.notes(rows, other_cpu_share=None if found else other_cpu_share(run)),
        ),
        measurements=_measurements(outcome, run, values),
    )


def _measurements(
    outcome: result.InferResult, run: LoadgenOutcome, values: Mapping[str, Any]
) -> tuple[result.Measurement, ...]:
    beside = serving.measurements(
        recorded(run.recording),
        scenario=outcome.scenario,
        instances=outcome.config["instances"],
        loadgen_mean_ns=values.get(_MEANS.get(outcome.scenario, _MEAN)) if run.recording.complete else None,
        memory_start_bytes=run.memory_start_bytes,
        memory_end_bytes=run.memory_end_bytes,
        other_cpu_share=other_cpu_share(run),
    )
    retraces = result.Measurement(name="retraces", value=run.retraces, unit="")
    return (*beside, retraces, result.Measurement(name="measured", value=run.measured_s, unit="s"))


def _log(run: LoadgenOutcome) -> LoadgenLog | None:
    """The detail log; None of a run that did not come so far as to have one."""
    return loadgen_log.read(run.log_dir) if (run.log_dir / loadgen_log.DETAIL).exists() else None


def _latencies(scenario: str, values: Mapping[str, Any]) -> dict[str, float]:
    kind = "per_query_latency_ns" if scenario == "MultiStream" else "latency_ns"
    keys = {name: f"result_{percent}_percentile_{kind}" for name, percent in _PERCENTILES.items()}
    return {name: float(values[key]) for name, key in keys.items() if key in values}


def p99_ns(run: LoadgenOutcome) -> float | None:
    """LoadGen's 99th percentile in Server; None when the run did not end or was given up."""
    log = _log(run)
    if run.status != "ended" or log is None:
        return None
    value = log.values.get("result_99.00_percentile_latency_ns")
    return None if value is None or log.errors else float(value)
