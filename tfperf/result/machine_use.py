"""How a host was used during a measured window."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class GpuUse:
    """How one GPU was used.

    Attributes:
        uuid: NVIDIA's identifier.
        name: the model.
        percent: mean share of time in which a kernel ran.
        memory_bytes: the most memory in use.
        watts: mean power.
        clock_mhz: mean clock of its processors.
        least_clock_mhz: the lowest.
        temperature_c: the highest temperature.
        throttled_percent: share of the readings in which something held back the clocks.
        throttled_by: what did.
        others: processes of others that computed on it.
    """

    uuid: str
    name: str
    percent: float | None = None
    memory_bytes: int | None = None
    watts: float | None = None
    clock_mhz: float | None = None
    least_clock_mhz: float | None = None
    temperature_c: float | None = None
    throttled_percent: float | None = None
    throttled_by: tuple[str, ...] = ()
    others: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachineUse:
    """How one host was used during a window. Percentages of processor time are of all its cores.

    Attributes:
        window: as in `EnergyDomain`.
        host: its name.
        began_s: when the window began, in seconds since the Unix epoch.
        seconds: how long it was.
        readings: readings in the window.
        cores: the processors that the system shows.
        cpu_percent: busy, by all programs.
        busiest_core_percent: the core that was busy the most.
        run_cpu_percent: by the processes of the run, without the sampler.
        other_cpu_percent: by other programs.
        stolen_percent: taken by the hypervisor.
        cpu_mhz: mean clock; None if it can't be read.
        cpu_temperature_c: the highest temperature; None if it can't be read.
        memory_bytes: the most memory of the run's processes, without shared memory.
        machine_memory_percent: the most memory in use on the host.
        disk_read_bytes_per_s: from all disks.
        disk_written_bytes_per_s: to all disks.
        network_received_bytes_per_s: by all interfaces but the loopback.
        network_sent_bytes_per_s: by the same.
        gpus: the GPUs that the run may use.
        sampler_percent: what the sampling itself cost, in per cent of one core.
        missed: readings that came too late to be taken.
    """

    window: str
    host: str
    began_s: float
    seconds: float
    readings: int
    cores: int
    cpu_percent: float | None = None
    busiest_core_percent: float | None = None
    run_cpu_percent: float | None = None
    other_cpu_percent: float | None = None
    stolen_percent: float | None = None
    cpu_mhz: float | None = None
    cpu_temperature_c: float | None = None
    memory_bytes: int | None = None
    machine_memory_percent: float | None = None
    disk_read_bytes_per_s: float | None = None
    disk_written_bytes_per_s: float | None = None
    network_received_bytes_per_s: float | None = None
    network_sent_bytes_per_s: float | None = None
    gpus: tuple[GpuUse, ...] = ()
    sampler_percent: float | None = None
    missed: int = 0

    @property
    def in_words(self) -> str:
        """The numbers on one line, without those that are unknown."""
        parts = [
            _cpu(self),
            _amount("memory", _mega(self.memory_bytes), "MB"),
            _pair("disk", self.disk_read_bytes_per_s, "read", self.disk_written_bytes_per_s, "written"),
            _pair("network", self.network_received_bytes_per_s, "received", self.network_sent_bytes_per_s, "sent"),
            *(_gpu(index, gpu) for index, gpu in enumerate(self.gpus)),
        ]
        cost = _amount("observing it took", self.sampler_percent, "% of a core")
        return "; ".join(part for part in (", ".join(part for part in parts if part), cost) if part)


def use_lines(use: Sequence[MachineUse]) -> tuple[str, ...]:
    """The use of each host in words, a line each."""
    windows, hosts = {(each.window, each.began_s) for each in use}, {each.host for each in use}
    lines = []
    for each in use:
        named = [*([each.window] if len(windows) > 1 else []), *([each.host] if len(hosts) > 1 else [])]
        lines.append(f"{', '.join(named)}: {each.in_words}" if named else each.in_words)
    return tuple(lines)


def _cpu(use: MachineUse) -> str:
    if use.cpu_percent is None:
        return ""
    parts = [
        _amount("the run", use.run_cpu_percent, "%"),
        _amount("others", use.other_cpu_percent, "%"),
        _amount("stolen", use.stolen_percent or None, "%"),
        _amount("busiest core", use.busiest_core_percent, "%"),
        _amount("at", use.cpu_mhz, "MHz"),
        _amount("at most", use.cpu_temperature_c, "degrees C"),
    ]
    known = ", ".join(part for part in parts if part)
    return f"{use.cores} cores {use.cpu_percent:.3g} % busy{f' ({known})' if known else ''}"


def _gpu(index: int, gpu: GpuUse) -> str:
    held = f"held back by {' and '.join(gpu.throttled_by)} in" if gpu.throttled_by else ""
    parts = [
        _amount("", gpu.percent, "% busy"),
        _amount("", _mega(gpu.memory_bytes), "MB"),
        _amount("", gpu.watts, "W"),
        _amount("", gpu.clock_mhz, "MHz"),
        _amount("at most", gpu.temperature_c, "degrees C"),
        _amount(held, gpu.throttled_percent, "% of readings") if held else "",
        f"shared with {gpu.others} processes of others" if gpu.others else "",
    ]
    return f"GPU {index} ({', '.join(part for part in parts if part)})"


def _pair(name: str, first: float | None, did: str, second: float | None, did_too: str) -> str:
    if first is None or second is None:
        return ""
    return f"{name} {first / 1e6:.3g} MB/s {did} and {second / 1e6:.3g} {did_too}"


def _amount(name: str, value: float | None, unit: str) -> str:
    return (
        ""
        if value is None
        else f"{name} {value:,.0f} {unit}".strip()
        if value >= 1000
        else f"{name} {value:.3g} {unit}".strip()
    )


def _mega(value: float | None) -> float | None:
    return None if value is None else value / 1e6
