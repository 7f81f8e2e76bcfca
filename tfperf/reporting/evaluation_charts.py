"""The charts of an evaluation: latency over throughput, and over time its loads and what its machine did meanwhile."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from tfperf import result
from tfperf.reporting import machine_series
from tfperf.reporting.charts import Axis, Curve
from tfperf.telemetry_log import MachineLog

_MS = 1e6
_SECONDS = "seconds since the evaluation began"
_OF_UNITS = {"%": ("Use of the machine", "use (%)"), "W": ("Power", "power (W)")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves over one pair of axes.

    Attributes:
        title: its heading.
        curves: one for each combination of the grid, or for each part of the machine.
        x: the horizontal axis.
        y: the vertical axis.
        bound: a bound on y; None if there is none.
    """

    title: str
    curves: tuple[Curve, ...]
    x: Axis
    y: Axis
    bound: float | None = None


def charts(outcome: result.EvaluateResult, log: MachineLog | None = None) -> list[Chart]:
    """Those that have something to show. With the log of the machine all charts over time have the same axis.

    Args:
        outcome: the result.
        log: what was read about the machine; None if nothing was.
    """
    machine = [] if log is None else _machine(outcome, log)
    ends = [x for chart in machine for curve in chart.curves for x, _ in curve.points]
    seconds = Axis(label=_SECONDS, span=(0.0, max(ends)) if ends else None)
    over_time = [dataclasses.replace(chart, x=seconds) for chart in (_over_time(outcome), *machine)]
    found = (_latency_over_throughput(outcome), *over_time)
    return [chart for chart in found if sum(_shown(curve, chart.y) for curve in chart.curves) >= 2]


def _latency_over_throughput(outcome: result.EvaluateResult) -> Chart:
    """P99 over requests/s."""
    numbers = _numbers(outcome)
    bounds = [curve.bound_ns for curve in outcome.curves if curve.bound_ns is not None]
    return Chart(
        title="Latency over throughput",
        curves=tuple(
            Curve(
                name=name,
                points=tuple((rate, latency_ns / _MS) for rate, latency_ns in curve.points),
                series=numbers[name],
                marked=True,
            )
            for name, curve in zip(_names(outcome.curves), outcome.curves, strict=True)
        ),
        x=Axis(label="requests/s"),
        y=Axis(label="P99 latency (ms)", log=True),
        bound=bounds[0] / _MS if bounds else None,
    )


def _over_time(outcome: result.EvaluateResult) -> Chart:
    """Samples/s of each load from its beginning to its end."""
    names, numbers = _names(outcome.phases), _numbers(outcome)
    return Chart(
        title="Loads over time",
        curves=tuple(
            Curve(
                name=name,
                points=tuple(_steps(phase for of, phase in zip(names, outcome.phases, strict=True) if of == name)),
                series=numbers[name],
            )
            for name in dict.fromkeys(names)
        ),
        x=Axis(label=_SECONDS),
        y=Axis(label="samples/s of each load", log=True),
    )


def _steps(phases: Iterator[result.LoadPhase]) -> Iterator[tuple[float, float]]:
    """A level line for each load, with a break after it."""
    for phase in phases:
        if phase.samples_per_s > 0:
            ended_s = phase.started_s + phase.duration_s
            yield phase.started_s, phase.samples_per_s
            yield ended_s, phase.samples_per_s
            yield ended_s, math.nan


def _numbers(outcome: result.EvaluateResult) -> dict[str, int]:
    """The number of each combination by its name, so that it has one colour in all charts."""
    names = dict.fromkeys((*_names(outcome.phases), *_names(outcome.curves)))
    return {name: number for number, name in enumerate(names)}


def _names(combinations: Sequence[result.LoadPhase] | Sequence[result.LoadCurve]) -> list[str]:
    """The name of each combination: its form and its batch size, and what else not all have in common."""
    threads = len({each.threads for each in combinations}) > 1
    return [
        ", ".join(
            [
                each.executable,
                f"batch {each.batch_size}",
                f"{each.instances} at a time",
                *([f"threads {each.threads}"] if threads and each.threads else []),
                *([each.device] if each.device != "auto" else []),
            ]
        )
        for each in combinations
    ]


def _machine(outcome: result.EvaluateResult, log: MachineLog) -> list[Chart]:
    """The use of the machine and its power. A load has its time by both clocks."""
    timed = next((phase for phase in outcome.phases if phase.span_ns), None)
    found = machine_series.of_log(log)
    if timed is None or not found:
        return []
    ahead_s = (int(log.at_ns[0]) - timed.span_ns[0]) / 1e9 + timed.started_s
    seconds = [at_s + ahead_s for at_s in found["seconds"]]
    drawn = []
    for unit, (title, label) in _OF_UNITS.items():
        alike = [each for each in found["series"] if each["unit"] == unit]
        curves = [
            Curve(
                name=each["name"],
                points=tuple(
                    (at_s, math.nan if value is None else value)
                    for at_s, value in zip(seconds, each["values"], strict=True)
                    if at_s >= 0
                ),
                series=number,
            )
            for number, each in enumerate(alike)
        ]
        drawn.append(Chart(title=title, curves=tuple(curves), x=Axis(label=_SECONDS), y=Axis(label=label)))
    return drawn


def _shown(curve: Curve, axis: Axis) -> int:
    """How many of its points an axis can show."""
    return sum(y > 0 if axis.log else not math.isnan(y) for _, y in curve.points)
