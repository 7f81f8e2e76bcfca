"""The loads that a run measured on one system, for a plan."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

from tfperf import result
from tfperf.analysis.sizing import CarriedLoad
from tfperf.errors import UsageError
from tfperf.stored import run

# Phases of an evaluation with one steady load; in the others it changes, or nothing bounds the latency.
_STEADY = ("server", "constant_rate", "concurrency", "sustained")
_STREAMS = "concurrency"
_PERCENTILE = 99.0
_MS = 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredSystem:
    """One system, or one way to serve on it, with what it was measured to carry.

    Attributes:
        what: such as `as_given, batch 1, 2 at once`.
        loads: requests per second with their P99 in ms; empty if only `most` is known.
        most: the throughput without a latency bound, which it can't exceed; None if unknown.
        per_watt: domain and samples per second and watt, where energy was measured.
        rests_on: sentences about what the numbers are and are not.
    """

    what: str
    loads: tuple[CarriedLoad, ...]
    most: float | None
    per_watt: tuple[tuple[str, float], ...]
    rests_on: tuple[str, ...]


def read(paths: Sequence[pathlib.Path]) -> tuple[MeasuredSystem, ...]:
    """The systems in runs: evaluations, or runs of Server and Offline of the same benchmark.

    Args:
        paths: run directories.

    Raises:
        UsageError: one is not of these kinds, or may not be used.
    """
    if not paths:
        raise UsageError("plan needs a run directory. Write tfperf plan --rate=5000 --p99_ms=15 RUN.")
    outcomes = [_outcome(path) for path in paths]
    evaluations = [each for each in outcomes if isinstance(each, result.EvaluateResult)]
    serving = [each for each in outcomes if isinstance(each, result.InferResult)]
    if evaluations and serving:
        raise UsageError("These are evaluations and runs of tfperf infer. Plan from one kind at a time.")
    benchmarks = sorted({each.benchmark for each in outcomes})
    if len(benchmarks) > 1:
        raise UsageError(f"These runs are of different benchmarks: {', '.join(benchmarks)}. Plan from one at a time.")
    return tuple(_of_evaluations(evaluations)) if evaluations else (_of_serving(serving),)


def _outcome(path: pathlib.Path) -> result.EvaluateResult | result.InferResult:
    try:
        found = result.read(path / "result.json")
    except (OSError, ValueError):
        found = run.read(path).outcome  # raises and says why
    if isinstance(found, result.EvaluateResult):
        edited = run.edits(path)
        if edited:
            raise UsageError(f"{path} can't be planned from: it is edited ({edited}).")
        return found
    stored = run.read(path)
    if not isinstance(found, result.InferResult):
        raise UsageError(f"{path} did not serve. Plan from tfperf evaluate, or from tfperf infer in Server or Offline.")
    if found.scenario not in ("Server", "Offline"):
        raise UsageError(
            f"{path} is {found.scenario}: one query at a time says nothing about the latency at a rate. Use Server, "
            "Offline, or tfperf evaluate."
        )
    wrong = [f"{flaw} ({why})" for flaw, why in stored.flaws if flaw != "internal"]
    if wrong:
        raise UsageError(f"{path} can't be planned from: it is {'; '.join(wrong)}.")
    return found


def _of_evaluations(outcomes: Sequence[result.EvaluateResult]) -> Iterator[MeasuredSystem]:
    phases = [phase for each in outcomes for phase in each.phases if phase.valid and phase.phase in _STEADY]
    for way in dict.fromkeys(map(_way, phases)):
        own = [phase for phase in phases if _way(phase) == way]
        loads = tuple(load for load in map(_load, own) if load is not None)
        if not loads:
            continue
        notes = []
        if all(phase.phase == _STREAMS for phase in own):
            notes.append("Measured with streams that wait for their answers. Users who don't wait arrive in bursts.")
        if any(phase.batch_size > 1 for phase in own):
            notes.append(f"A request holds {own[0].batch_size} samples.")
        windows = {phase.window for phase in own}
        yield MeasuredSystem(
            what=way,
            loads=loads,
            most=None,
            per_watt=_per_watt([domain for each in outcomes for domain in each.energy if domain.window in windows]),
            rests_on=tuple(notes),
        )


def _way(phase: result.LoadPhase) -> str:
    """How a load was served. Loads that were served in other ways say nothing about it."""
    more = [
        *([f"{phase.threads} threads"] if phase.threads else []),
        *([phase.device] if phase.device != "auto" else []),
        *([f"{phase.hosts} hosts together"] if phase.hosts > 1 else []),
    ]
    return ", ".join([phase.executable, f"batch {phase.batch_size}", f"{phase.instances} at once", *more])


def _load(phase: result.LoadPhase) -> CarriedLoad | None:
    found = next((each for each in phase.percentiles if each.percentile == _PERCENTILE), None)
    if found is None or phase.requests_per_s <= 0:
        return None
    return CarriedLoad(rate=phase.requests_per_s, **_latency(found.value_ns, found))


def _latency(value_ns: float, within: result.Percentile | None) -> dict[str, float]:
    """P99 in ms with its interval, which is moved to the value."""
    ends: dict[str, float] = {"latency": value_ns / _MS}
    if within is not None and within.low_ns is not None and within.high_ns is not None and within.value_ns > 0:
        ends |= {
            "low": value_ns / _MS * within.low_ns / within.value_ns,
            "high": value_ns / _MS * within.high_ns / within.value_ns,
        }
    return ends


def _of_serving(outcomes: Sequence[result.InferResult]) -> MeasuredSystem:
    server = [each for each in outcomes if each.scenario == "Server"]
    offline = [each.metric.value for each in outcomes if each.scenario == "Offline" and each.metric is not None]
    loads = tuple(load for each in server for load in _server_loads(each))
    notes = []
    if any(each.search for each in server):
        notes.append("Loads of the search for the rate are among them; short ones have no interval.")
    if not loads:
        notes.append("Offline has no latency bound: this is the fewest that can carry the rate, at any latency.")
    executables = sorted({str(each.executable) for each in outcomes})
    return MeasuredSystem(
        what=f"{outcomes[0].benchmark}, {' or '.join(executables)}",
        loads=loads,
        most=max(offline, default=None),
        per_watt=_per_watt([domain for each in outcomes for domain in each.energy]),
        rests_on=tuple(notes),
    )


def _server_loads(outcome: result.InferResult) -> Iterator[CarriedLoad]:
    within = next((each for each in outcome.percentiles if each.percentile == _PERCENTILE), None)
    value_ns = outcome.latency_ns.get("p99")
    if outcome.metric is not None and value_ns is not None:
        yield CarriedLoad(rate=outcome.metric.value, **_latency(value_ns, within))
    for probe in outcome.search:
        if probe.p99_ns is not None:
            yield CarriedLoad(rate=probe.target_qps, latency=probe.p99_ns / _MS)


def _per_watt(domains: Sequence[result.EnergyDomain]) -> tuple[tuple[str, float], ...]:
    """The best performance per watt of each measured domain."""
    found: dict[str, float] = {}
    for each in domains:
        if each.status == "measured" and each.samples_per_s_per_watt:
            found[each.domain] = max(each.samples_per_s_per_watt, found.get(each.domain, 0.0))
    return tuple(found.items())
