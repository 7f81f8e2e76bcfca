"""What the loads of an evaluation say together: latency over throughput, and how much repeats differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tfperf import result
from tfperf.analysis import load_curve
from tfperf.analysis.steady_state import LEAST_CHANGE

_BY_RATE, _BY_STREAMS = ("constant_rate", "server"), ("concurrency",)
_KEPT_UP = 0.98  # the share of the offered rate below which the queue grew, so that the latency is of no steady load
_CELL = ("executable", "instances", "threads", "device")
_LOAD = ("phase", "load", "executable", "batch_size", "instances", "threads", "device")


def curves(phases: Sequence[result.LoadPhase], *, latency_bound_ms: float | None) -> tuple[result.LoadCurve, ...]:
    """The curve of every combination that was measured under several loads.

    Args:
        phases: all loads.
        latency_bound_ms: the bound for P99; None for none.
    """
    bound_ns = None if latency_bound_ms is None else latency_bound_ms * 1e6
    cells = dict.fromkeys((*_key(each, _CELL), each.batch_size) for each in phases if each.phase != "multistream")
    found = [
        _curve([each for each in phases if (*_key(each, _CELL), each.batch_size) == cell], bound_ns) for cell in cells
    ]
    return tuple(each for each in found if each is not None)


def repeats(phases: Sequence[result.LoadPhase]) -> tuple[result.Consistency, ...]:
    """How much the repeats of each load differ; nothing for those that were measured once."""
    found = []
    for same in _repeated(phases):
        metrics = [each.metric for each in same if each.metric is not None]
        if len(metrics) < 2 or len({each.name for each in metrics}) > 1:
            continue
        values = tuple(each.value for each in metrics)
        mean = sum(values) / len(values)
        spread = (max(values) - min(values)) / mean if mean else 0.0
        found.append(
            result.Consistency(
                **dict(zip(_LOAD, _key(same[0], _LOAD), strict=True)),  # type: ignore[arg-type]
                metric=metrics[0].name,
                values=values,
                spread=spread,
                consistent=spread <= LEAST_CHANGE or _overlap(same, metrics[0].name),
            )
        )
    return tuple(found)


def _repeated(phases: Sequence[result.LoadPhase]) -> Iterable[list[result.LoadPhase]]:
    """The repeats of each load that ended. They have the same place in their repeats, and may differ in text."""
    found: dict[tuple[object, ...], list[result.LoadPhase]] = {}
    places: dict[tuple[object, ...], int] = {}
    for phase in phases:
        cell = (*_key(phase, _CELL), phase.batch_size)
        of_repeat = (*cell, phase.repeat)
        place = places[of_repeat] = places.get(of_repeat, -1) + 1
        if phase.status == "ended":
            found.setdefault((*cell, place), []).append(phase)
    return found.values()


def _curve(phases: Sequence[result.LoadPhase], bound_ns: float | None) -> result.LoadCurve | None:
    loads = [each for each in phases if each.phase in (*_BY_RATE, *_BY_STREAMS) and each.status == "ended"]
    known = sorted((each.requests_per_s, p99) for each in loads if (p99 := each.latency_ns(99.0)) is not None)
    found = load_curve.knee(list(_points(loads)))
    if not known and found is None:
        return None
    first = loads[0]
    return result.LoadCurve(
        executable=first.executable,
        batch_size=first.batch_size,
        instances=first.instances,
        threads=first.threads,
        device=first.device,
        points=tuple(known),
        knee=None if found is None else found.throughput,
        knee_low=None if found is None else found.low,
        knee_high=None if found is None else found.high,
        knee_by=None if found is None else found.by,
        bound_ns=bound_ns,
        most_within_bound=None if bound_ns is None else load_curve.most_within(known, bound=bound_ns),
    )


def _points(loads: Iterable[result.LoadPhase]) -> Iterable[load_curve.LoadPoint]:
    for each in loads:
        keeps_up = each.offered_per_s is None or each.requests_per_s >= _KEPT_UP * each.offered_per_s
        if each.mean_ns is not None and each.mean_error_ns is not None and keeps_up:
            yield load_curve.LoadPoint(
                throughput=each.requests_per_s,
                latency=each.mean_ns,
                error=each.mean_error_ns,
                by="rate" if each.phase in _BY_RATE else "streams",
            )


def _overlap(phases: Sequence[result.LoadPhase], metric: str) -> bool:
    """Whether the intervals of a percentile have a value in common."""
    if not metric.startswith("P"):
        return False
    percentile = float(metric.removeprefix("P").removesuffix(" latency"))
    chosen = [each for phase in phases for each in phase.percentiles if each.percentile == percentile]
    lows = [each.low_ns for each in chosen if each.low_ns is not None]
    highs = [each.high_ns for each in chosen if each.high_ns is not None]
    return len(lows) == len(highs) == len(phases) and max(lows) <= min(highs)


def _key(phase: result.LoadPhase, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(getattr(phase, name) for name in names)
