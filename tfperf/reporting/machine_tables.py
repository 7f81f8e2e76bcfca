"""What limited several windows, and the energy and the use of the machines in them, as tables."""

from __future__ import annotations

from tfperf import result
from tfperf.reporting import table
from tfperf.reporting.machine_facts import ObservedResult, tabulated


def tables(outcome: ObservedResult) -> list[tuple[list[str], list[list[str]]]]:
    """Headers and rows of what is known of several windows, which needs more room than a fact."""
    known = [each for each in outcome.energy if each.joules is not None] if tabulated(outcome.energy) else []
    used = outcome.use if tabulated(outcome.use) else ()
    limits = outcome.bottlenecks if len(outcome.bottlenecks) > 1 else ()
    return [
        (
            ["bottleneck", "limited by", "numbers"],
            [[each.window, each.verdict, "; ".join(each.evidence[1:])] for each in limits],
        ),
        (
            ["energy", "domain", "status", "J", "W", "net J", "J/sample", "samples/s per W"],
            [_joules(each) for each in known],
        ),
        (
            ["use", "host", "CPU (%)", "the run (%)", "others (%)", "memory (MB)", "GPU (%)"],
            [_used(each) for each in used],
        ),
    ]


def _joules(each: result.EnergyDomain) -> list[str]:
    numbers = (each.joules, each.watts, each.net_joules, each.joules_per_sample, each.samples_per_s_per_watt)
    return [each.window, each.domain, each.status, *map(_number, numbers)]


def _used(each: result.MachineUse) -> list[str]:
    memory_mb = None if each.memory_bytes is None else each.memory_bytes / 1e6
    busy = [gpu.percent for gpu in each.gpus if gpu.percent is not None]
    gpu = sum(busy) / len(busy) if busy else None
    numbers = (each.cpu_percent, each.run_cpu_percent, each.other_cpu_percent, memory_mb, gpu)
    return [each.window, each.host, *map(_number, numbers)]


def _number(value: float | None) -> str:
    return table.UNKNOWN if value is None else table.number(value)
