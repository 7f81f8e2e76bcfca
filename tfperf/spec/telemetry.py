"""What is recorded about the machine during a run: its use and its energy."""

from __future__ import annotations

import dataclasses
import math

from tfperf.spec.requirement import require

METER_PREFIX = "csv:"
_MOST_HZ = 10.0
_LEAST_HZ = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PowerEstimate:
    """The power of a domain that can't be measured, as its owner knows it; in between it follows processor time.

    Args:
        idle_watts: the power of the idle domain.
        full_watts: the power when all cores are busy.
    """

    idle_watts: float
    full_watts: float

    def __post_init__(self) -> None:
        idle, full = self.idle_watts, self.full_watts
        require(
            (math.isfinite(idle) and idle >= 0, "idle_watts", idle, "0 or more"),
            (math.isfinite(full) and full > idle, "full_watts", full, f"more than idle_watts={idle:g}"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyEstimates:
    """The domains whose energy may be estimated where it can't be measured. Each is named, with its power.

    Args:
        package: the processors of a host; None estimates nothing.
        dram: its memory; None estimates nothing.
    """

    package: PowerEstimate | None = None
    dram: PowerEstimate | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TelemetrySpec:
    """How the machine is observed while a run is measured. A process of its own does it.

    Args:
        rate_hz: readings in a second; 0 records nothing.
        power_source: `csv:FILE`, what an external power meter writes during the run: the columns `timestamp` and
            `watts`. `{worker}` in it stands for the number of the worker. None if there is no meter.
        idle_s: seconds for which the idle machine is measured before the run, if its energy can be measured.
        powercap: the folder with the energy counters of the processors; another one is where a container mounts it.
        estimates: what may be estimated.
    """

    rate_hz: float = 1.0
    power_source: str | None = None
    idle_s: float = 2.0
    powercap: str = "/sys/class/powercap"
    estimates: EnergyEstimates = dataclasses.field(default_factory=EnergyEstimates)

    def __post_init__(self) -> None:
        rate, idle, source = self.rate_hz, self.idle_s, self.power_source
        is_meter = source is None or (source.startswith(METER_PREFIX) and len(source) > len(METER_PREFIX))
        require(
            (rate == 0 or _LEAST_HZ <= rate <= _MOST_HZ, "rate_hz", rate, f"{_LEAST_HZ:g} to {_MOST_HZ:g}, or 0 (off)"),
            (is_meter, "power_source", source, "csv:FILE, or null"),
            (rate > 0 or source is None, "power_source", source, "left out with rate_hz=0, which records nothing"),
            (math.isfinite(idle) and 0 <= idle <= 600, "idle_s", idle, "0 to 600"),
        )

    @property
    def meter_file(self) -> str | None:
        """The path of the meter's file, with `{worker}` as it was written; None without one."""
        return None if self.power_source is None else self.power_source[len(METER_PREFIX) :]
