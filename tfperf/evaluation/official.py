"""The four scenarios that the official LoadGen has, sent by it, in a process of its own."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from tfperf import loadgen_log, result
from tfperf import spec as specs
from tfperf.analysis import breakdown, early_stopping, invalidity, load_curve, percentiles, serving
from tfperf.analysis import recorded as recorded_rows
from tfperf.analysis.recorded import Recorded
from tfperf.evaluation import placement, sent
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.machine_clocks import MachineClocks
from tfperf.evaluation.sent import Sender
from tfperf.inference import process
from tfperf.inference.job import Job, LoadgenOutcome, RunProgress, ScenarioName, Settings
from tfperf.loadgen_log import LoadgenLog
from tfperf.telemetry import neighbours

LoadgenPhase = specs.SingleStreamLoad | specs.MultiStreamLoad | specs.ServerLoad | specs.OfflineLoad

_NAMES: dict[type[LoadgenPhase], ScenarioName] = {
    specs.SingleStreamLoad: "SingleStream",
    specs.MultiStreamLoad: "MultiStream",
    specs.ServerLoad: "Server",
    specs.OfflineLoad: "Offline",
}
PHASES = frozenset(kind.KEY for kind in _NAMES)
# LoadGen's mlperf.conf has nothing under this name, so its own defaults hold for any model.
_MODEL = "evaluated"
_STATUS = {"ended": "ended", "stuck": "hung", "interrupted": "interrupted"}
_LOGGED = {50.0: "50.00", 90.0: "90.00", 95.0: "95.00", 99.0: "99.00", 99.9: "99.90"}
_REPEATS = 3  # of an Offline run that was faster than expected, which makes it INVALID
_FASTER = 1.2


def is_official(phase: specs.Phase, *, batch_size: int) -> bool:
    """Whether LoadGen has the phase. Its SingleStream sends single samples only."""
    single = not isinstance(phase, specs.SingleStreamLoad) or batch_size == 1
    return isinstance(phase, LoadgenPhase) and single


def batch_sizes(phase: LoadgenPhase, *, batch_size: int) -> tuple[int, ...]:
    """The sizes that the model is compiled for: in Server powers of two, as waiting samples share a batch."""
    match phase:
        case specs.SingleStreamLoad():
            return (1,)
        case specs.MultiStreamLoad():
            return (phase.samples_per_query,)
        case specs.OfflineLoad():
            return (batch_size,)
        case specs.ServerLoad():
            return (*(2**power for power in range(batch_size.bit_length()) if 2**power < batch_size), batch_size)


def measure(
    phase: LoadgenPhase,
    combination: Combination,
    sender: Sender,
    *,
    log_dir: pathlib.Path,
    hang_after_s: float,
    on_look: Callable[[str, int], None],
) -> LoadgenOutcome:
    """Runs LoadGen on a combination.

    Args:
        phase: the scenario.
        combination: the executable, and the largest batch.
        sender: sends the model to the process.
        log_dir: gets LoadGen's logs.
        hang_after_s: a request that takes longer ends the run.
        on_look: called a few times a second with the scenario and the requests so far.

    Raises:
        UnsendableError: the model can't be sent.
        UsageError: LoadGen's queries would not fit into memory.
    """
    model = sender.send(combination, batch_sizes=batch_sizes(phase, batch_size=combination.batch_size))
    expected: float | None = None
    for number in range(_REPEATS):
        job = Job(
            settings=_settings(phase, samples=model.total, expected_qps=expected),
            open=functools.partial(sent.open_served, model),
            log_dir=log_dir if not number else log_dir.with_name(f"{log_dir.name}-again-{number}"),
            stuck_after_s=hang_after_s,
            environment=placement.environment(model.form, model.device, cache=model.directory / "xla"),
        )
        outcome = process.run(
            job, on_progress=functools.partial(_show, on_look, phase), other_cpu_s=neighbours.other_cpu_s
        )
        expected = _expected_qps(outcome)
        if expected is None:
            break
    return outcome


def phase_of(
    phase: LoadgenPhase,
    combination: Combination,
    outcome: LoadgenOutcome,
    *,
    started_s: float,
    repeat: int,
    clocks: MachineClocks,
) -> result.LoadPhase:
    """The numbers of a run: LoadGen's own, with intervals and means from what the SUT recorded."""
    log = loadgen_log.read(outcome.log_dir) if (outcome.log_dir / loadgen_log.DETAIL).exists() else None
    rows = recorded_rows.of(outcome.recording, outcome.archive)
    requests, scenario = outcome.recording.counter("completed"), outcome.settings.scenario
    reasons = _reasons(outcome, log)
    instances = combination.instances * placement.count(combination.device)
    times = breakdown.breakdown(rows, instances=instances)
    mean_ns = _mean_ns(outcome, log)
    steadiness = serving.steadiness(rows, machine=clocks.since)
    return result.LoadPhase(
        phase=specs.phase_name(phase),
        load=_text(phase, requests),
        executable=combination.executable,
        batch_size=_batch_size(phase, combination),
        instances=instances,
        threads=combination.threads,
        device=combination.device,
        repeat=repeat,
        issuer="loadgen",
        valid=not reasons,
        reasons=reasons,
        status=_STATUS.get(outcome.status, "failed"),  # type: ignore[arg-type]
        started_s=started_s,
        duration_s=outcome.measured_s,
        span_ns=outcome.span_ns or (),
        requests=requests,
        samples=outcome.recording.counter("samples"),
        offered_per_s=outcome.settings.target_qps,
        metric=None if log is None or outcome.status != "ended" else loadgen_log.metric(log),
        percentiles=() if scenario == "Offline" else _percentiles(rows, log, requests),
        mean_ns=mean_ns or (None if times is None else times.latency_ns),
        mean_error_ns=load_curve.standard_error(rows.latency_ns),
        queue_ns=None if times is None or scenario == "Offline" else times.queue_ns,
        service_ns=None if times is None or scenario == "Offline" else times.rest_ns,
        busy=None if times is None else times.busy,
        retraces=outcome.retraces,
        memory_growth_bytes=_growth(outcome),
        steadiness=steadiness,
        notes=(*outcome.notes, *_notes(steadiness), *_others(outcome)),
    )


def _settings(phase: LoadgenPhase, *, samples: int, expected_qps: float | None) -> Settings:
    server = phase if isinstance(phase, specs.ServerLoad) else None
    return Settings(
        loadgen_model=_MODEL,
        scenario=_NAMES[type(phase)],
        mode="performance",
        min_duration_s=phase.min_duration_s,
        performance_samples=samples,
        min_queries=1 if isinstance(phase, specs.OfflineLoad) else phase.min_queries,
        samples_per_query=phase.samples_per_query if isinstance(phase, specs.MultiStreamLoad) else 8,
        target_qps=None if server is None else server.target_qps,
        latency_bound_ns=None if server is None else round(server.latency_bound_ms * 1e6),
        expected_qps=expected_qps,
    )


def _expected_qps(outcome: LoadgenOutcome) -> float | None:
    """What to expect of a repeat, if an Offline run ran out of samples before its time; None if it did not."""
    if outcome.status != "ended" or outcome.settings.scenario != "Offline":
        return None
    values = loadgen_log.read(outcome.log_dir).values
    return None if values["result_min_duration_met"] else _FASTER * float(values["result_samples_per_second"])


def _show(on_look: Callable[[str, int], None], phase: LoadgenPhase, progress: RunProgress) -> None:
    on_look(f"{specs.phase_name(phase)} under LoadGen, {progress.phase}", progress.queries)


def _text(phase: LoadgenPhase, requests: int) -> str:
    match phase:
        case specs.SingleStreamLoad():
            return "1 stream"
        case specs.MultiStreamLoad():
            return f"queries of {phase.samples_per_query}"
        case specs.ServerLoad():
            return f"{phase.target_qps:g} requests/s"
        case specs.OfflineLoad():
            return f"{requests:,} samples at once"


def _batch_size(phase: LoadgenPhase, combination: Combination) -> int:
    return phase.samples_per_query if isinstance(phase, specs.MultiStreamLoad) else combination.batch_size


def _growth(outcome: LoadgenOutcome) -> int | None:
    start, end = outcome.memory_start_bytes, outcome.memory_end_bytes
    return None if start is None or end is None else end - start


def _reasons(outcome: LoadgenOutcome, log: LoadgenLog | None) -> tuple[str, ...]:
    """Why the numbers may not be quoted: LoadGen's reasons, or how the run ended."""
    answers = outcome.recording.counter("completed")
    if outcome.status == "interrupted":
        return (f"interrupted after {answers:,} answers",)
    if outcome.status != "ended" or log is None:
        return (f"{outcome.failure or f'the run is {outcome.status}'}, after {answers:,} answers",)
    single_ns = [time_ns for bucket, time_ns in outcome.execution_ns.items() if bucket.batch == 1]
    found = invalidity.explain(log, one_sample_ns=min(single_ns, default=None), other_cpu_share=outcome.other_cpu_share)
    retraced = f"the model was traced or compiled {outcome.retraces} times during the load"
    return (*found, *((retraced,) if outcome.retraces else ()))


def _percentiles(rows: Recorded, log: LoadgenLog | None, requests: int) -> tuple[result.Percentile, ...]:
    """LoadGen's percentiles, which count from its schedule, with the intervals of those that the SUT saw."""
    slowest = None if rows.queries is None else rows.slowest_ns
    seen = percentiles.percentiles(rows.latency_ns, slowest_ns=slowest, queries=rows.queries)
    found = []
    for each in seen:
        if requests < early_stopping.least_queries(each.percentile):
            continue
        value = each.value_ns if log is None else _logged(log, each.percentile) or each.value_ns
        low = None if each.low_ns is None else min(each.low_ns, value)
        high = None if each.high_ns is None else max(each.high_ns, value)
        found.append(result.Percentile(percentile=each.percentile, value_ns=value, low_ns=low, high_ns=high))
    return tuple(found)


def _logged(log: LoadgenLog, percentile: float) -> float | None:
    name = _LOGGED.get(percentile)
    keys = [f"result_{name}_percentile_{what}" for what in ("per_query_latency_ns", "latency_ns")]
    return next((float(log.values[key]) for key in keys if key in log.values), None)


def _mean_ns(outcome: LoadgenOutcome, log: LoadgenLog | None) -> float | None:
    if log is None or outcome.status != "ended" or outcome.settings.scenario == "Offline":
        return None
    value = log.values.get("result_mean_query_latency_ns", log.values.get("result_mean_latency_ns"))
    return None if value is None else float(value)


def _notes(steadiness: result.Steadiness) -> Sequence[str]:
    return () if steadiness.verdict in ("STEADY", "TOO_SHORT") else steadiness.because


def _others(outcome: LoadgenOutcome) -> Sequence[str]:
    share = outcome.other_cpu_share or 0.0
    return (invalidity.other_cpu(share),) if share > invalidity.NOTABLE_OTHER_CPU else ()


def save_requests(outcome: LoadgenOutcome, sink: Callable[[np.ndarray | None], None]) -> None:
    """Writes the queries of a run as the SUT saw them; evenly spaced ones, if there were too many for its recording."""
    rows = recorded_rows.of(outcome.recording, outcome.archive)
    issued = rows.issued_ns
    done, zeros = issued + rows.latency_ns, np.zeros_like(issued)
    sink(np.stack([issued, issued, issued + rows.queue_ns, done, zeros]))
    sink(None)
