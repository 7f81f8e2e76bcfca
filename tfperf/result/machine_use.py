"""How a host was used during a measured window."""

from __future__ import annotations

import dataclasses


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
