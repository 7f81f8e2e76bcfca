"""How many systems carry a rate under a bound for P99, with the interval and room for failures."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any

from tfperf.analysis import sizing
from tfperf.analysis.sizing import Capacity
from tfperf.errors import UsageError
from tfperf.planning import measured_loads
from tfperf.planning.measured_loads import MeasuredSystem
from tfperf.reporting import table

SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapacityPlan:
    """How many of one system a rate needs.

    Attributes:
        system: what was measured.
        capacity: what one carries within the bound; None if only its throughput without a bound is known.
        systems: how many are needed, spare ones included; at least so many if `capacity` is None.
        fewest: the same if latencies lie at the lower ends of their intervals.
        most: the same at the upper ends; None if some interval is unknown or no load keeps the bound that way.
        load: the share of its capacity that each carries when all run.
        load_after_failures: the same when the spare ones have failed.
    """

    system: MeasuredSystem
    capacity: Capacity | None
    systems: int
    fewest: int
    most: int | None
    load: float
    load_after_failures: float


def make(paths: Sequence[pathlib.Path], *, rate: float, p99_ms: float, spare: int) -> tuple[CapacityPlan, ...]:
    """Plans from runs, the fewest systems first.

    Args:
        paths: run directories.
        rate: requests per second of all users.
        p99_ms: the bound.
        spare: how many systems may fail at the same time.

    Raises:
        UsageError: a number makes no sense, a run can't be used, or no measured load kept the bound.
    """
    for name, value in (("rate", rate), ("p99_ms", p99_ms)):
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"--{name} must be above 0, got {value:g}.")
    systems = measured_loads.read(paths)
    plans = [plan for plan in (_plan(each, rate=rate, p99_ms=p99_ms, spare=spare) for each in systems) if plan]
    if not plans:
        raise UsageError(_too_slow(systems, p99_ms=p99_ms))
    return tuple(sorted(plans, key=lambda plan: plan.systems))


def as_dict(plans: Sequence[CapacityPlan], *, rate: float, p99_ms: float, spare: int) -> dict[str, Any]:
    """Plain values, as `--format=json` prints them."""
    asked = {"requests_per_s": rate, "p99_ms": p99_ms, "spare": spare}
    return {"schema": SCHEMA, "kind": "plan", **asked, "plans": [dataclasses.asdict(plan) for plan in plans]}


def text(plans: Sequence[CapacityPlan], *, rate: float, p99_ms: float, spare: int) -> str:
    """The first plan in full, then the others in a line each."""
    best = plans[0]
    least = "At least " if best.capacity is None else ""
    spared = f", of which {spare} may fail" if spare else ""
    bound = "" if best.capacity is None else f" with P99 within {table.number(p99_ms)} ms"
    lines = [f"{least}{_counted(best.systems)} for {table.number(rate)} requests/s{bound}{spared}.", ""]
    lines.append(table.facts([*_facts(best, spare=spare), *(("note", note) for note in best.system.rests_on)]))
    if len(plans) > 1:
        rows = [(each.system.what, str(each.systems), _interval(each), f"{100 * each.load:.0f}") for each in plans]
        lines += ["", table.columns(("system", "needed", "interval", "load (%)"), rows)]
    return "\n".join(lines)


def _plan(system: MeasuredSystem, *, rate: float, p99_ms: float, spare: int) -> CapacityPlan | None:
    if not system.loads:
        return None if system.most is None else _at_least(system, system.most, rate=rate, spare=spare)
    found = sizing.capacity(system.loads, bound=p99_ms)
    if found is None:
        return None
    needed = sizing.systems(rate, capacity_rate=found.rate, spare=spare)
    careful = found.careful
    return CapacityPlan(
        system=system,
        capacity=found,
        systems=needed,
        fewest=sizing.systems(rate, capacity_rate=found.hopeful, spare=spare),
        most=None if careful is None else sizing.systems(rate, capacity_rate=careful, spare=spare),
        load=rate / needed / found.rate,
        load_after_failures=rate / (needed - spare) / found.rate,
    )


def _at_least(system: MeasuredSystem, most: float, *, rate: float, spare: int) -> CapacityPlan:
    needed = sizing.systems(rate, capacity_rate=most, spare=spare)
    return CapacityPlan(
        system=system,
        capacity=None,
        systems=needed,
        fewest=needed,
        most=None,
        load=rate / needed / most,
        load_after_failures=rate / (needed - spare) / most,
    )


def _facts(plan: CapacityPlan, *, spare: int) -> list[tuple[str, str]]:
    found = plan.capacity
    facts = [("system", plan.system.what)]
    if found is None:
        facts.append(("one system", f"{table.number(plan.system.most or 0.0)} samples/s without a latency bound"))
    else:
        interval = ""
        if found.at.low is not None and found.at.high is not None:
            interval = f" (95 % interval {table.number(found.at.low)} to {table.number(found.at.high)})"
        latency = f"{table.number(found.at.latency)} ms{interval}"
        facts.append(("one system", f"{table.number(found.rate)} requests/s measured, with P99 of {latency}"))
        facts.append(("interval", f"{_interval(plan)} systems"))
        if found.highest:
            facts.append(("more", "no higher rate was measured, so one system may carry more"))
    facts.append(("load", f"{100 * plan.load:.0f} % of that for each when all run"))
    if spare:
        facts.append(("after failures", f"{100 * plan.load_after_failures:.0f} % with {spare} failed"))
    for domain, value in plan.system.per_watt:
        facts.append(("performance/watt", f"{table.number(value)} samples/s/W ({domain}, measured)"))
    return facts


def _interval(plan: CapacityPlan) -> str:
    if plan.most is None:
        return f"{plan.fewest} or more"
    return f"{plan.fewest} to {plan.most}"


def _counted(count: int) -> str:
    return f"{count} system{'s' if count > 1 else ''}"


def _too_slow(systems: Sequence[MeasuredSystem], *, p99_ms: float) -> str:
    loads = [load for each in systems for load in each.loads]
    if not loads:
        return (
            "These runs measured no load with a P99. Evaluate with concurrency, constant_rate or server, each with 662 "
            "requests or more."
        )
    least = min(loads, key=lambda load: load.rate)
    return (
        f"No measured load kept P99 within {table.number(p99_ms)} ms; the lowest, {table.number(least.rate)} "
        f"requests/s, had {table.number(least.latency)} ms. Measure lower rates, or serve faster."
    )
