"""What limited a performance run: its times, and the model's work beside the measured peak of this machine."""

from __future__ import annotations

from tfperf import loadgen_log, result
from tfperf.analysis import bottleneck, breakdown
from tfperf.analysis.bottleneck import PeakShares, RequestTimes
from tfperf.analysis.recorded import Recorded
from tfperf.inference import model_cost
from tfperf.inference.job import LoadgenOutcome
from tfperf.serving import measured
from tfperf.serving.inputs import open_model
from tfperf.serving.prepared import PreparedMeasurement

_WINDOW = "performance"
_MEAN = "result_mean_latency_ns"


def bottlenecks(
    prepared: PreparedMeasurement, found: result.InferResult, outcome: LoadgenOutcome
) -> tuple[result.Bottleneck, ...]:
    """What limited the performance run; empty if it did not end. Measures the machine's peak where it decides.

    Args:
        prepared: the model.
        found: the result so far.
        outcome: the performance run.
    """
    rows = measured.recorded(outcome)
    times = _times(found, outcome, rows)
    if times is None or outcome.status != "ended":
        return ()
    verdict = bottleneck.of_requests(times, window=_WINDOW)
    if bottleneck.asks_for_peak(times) and _is_comparable(found, outcome):
        try:
            shares = _peak_shares(prepared, outcome, rows, instances=found.instances or 1)
        except Exception as error:  # whatever TensorFlow's counter makes of somebody's layers: the run stays valid
            return (bottleneck.with_evidence(verdict, model_cost.uncountable(error)),)
        verdict = bottleneck.of_requests(times, window=_WINDOW, peak=shares)
    return (verdict,)


def _times(found: result.InferResult, outcome: LoadgenOutcome, rows: Recorded) -> RequestTimes | None:
    times = breakdown.breakdown(rows, instances=found.instances or 1)
    if times is None:
        return None
    alone = found.scenario in ("SingleStream", "MultiStream")
    lag_ns = _lag_ns(outcome, rows) if found.scenario == "Server" else None
    return RequestTimes(
        latency_ns=times.latency_ns + (lag_ns or 0.0),
        lag_ns=lag_ns,
        queue_ns=None if found.scenario == "Offline" else times.queue_ns,
        input_ns=times.staging_ns if alone else None,
        compute_ns=times.compute_ns if alone else None,
        busy=None if alone else times.busy,
    )


def _lag_ns(outcome: LoadgenOutcome, rows: Recorded) -> float | None:
    """How late LoadGen's queries came, on average; None if it is unknown."""
    if not outcome.recording.complete:
        return None
    mean_ns = loadgen_log.read(outcome.log_dir).values.get(_MEAN)
    lag_ns = None if mean_ns is None else breakdown.scheduling_lag_ns(rows, loadgen_mean_ns=float(mean_ns))
    return None if lag_ns is None else max(0.0, lag_ns)


def _is_comparable(found: result.InferResult, outcome: LoadgenOutcome) -> bool:
    """Whether the peak of this process says something about the model: both in float32, on the CPU."""
    on_cpu = outcome.processor is not None and outcome.processor[0] == "cpu"
    return on_cpu and (found.executable or "").endswith("-float32")


def _peak_shares(
    prepared: PreparedMeasurement, outcome: LoadgenOutcome, rows: Recorded, *, instances: int
) -> PeakShares | None:
    each, times = model_cost.flops(open_model(prepared.inputs)), breakdown.breakdown(rows, instances=instances)
    if each is None or times is None or not outcome.measured_s:
        return None
    peak = model_cost.measured_peak()
    executions = len(rows.compute_ns) * rows.execution_every
    computing_s = outcome.measured_s * bottleneck.computing(times.busy, instances=instances)
    return PeakShares(
        arithmetic=each * outcome.recording.counter("samples") / computing_s / peak.flops_per_s,
        copying=prepared.weights_bytes * executions / computing_s / peak.copied_bytes_per_s,
    )
