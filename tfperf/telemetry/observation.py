"""What one worker's log says about the measured windows, as a value to exchange, and that of all workers."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import result
from tfperf import spec as specs
from tfperf.telemetry import components, domains, meter, use
from tfperf.telemetry.components import EnergyComponent
from tfperf.telemetry.counters import NoEnergyError
from tfperf.telemetry_log import MachineLog, Window

_UNTOLD = "the run failed before the workers told each other what they measured"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowObservation:
    """One window on one worker.

    Attributes:
        window: what was measured.
        began_s: when it began, in seconds since the Unix epoch.
        components: the energy of each counter.
        use: how the host was used; None if nothing was read.
        host_id: the same for all workers on one running host.
    """

    window: Window
    began_s: float
    components: tuple[EnergyComponent, ...]
    use: result.MachineUse | None
    host_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observed:
    """What a result says about the machines.

    Attributes:
        energy: the energy of each window, by domain.
        use: how each host was used in each window.
    """

    energy: tuple[result.EnergyDomain, ...] = ()
    use: tuple[result.MachineUse, ...] = ()


def of_log(
    log: MachineLog, windows: Sequence[Window], *, spec: specs.TelemetrySpec, meter_file: pathlib.Path | None
) -> tuple[WindowObservation, ...]:
    """What a log says about the windows."""
    outside = _meter(meter_file, log, windows)
    found = []
    for window in windows:
        began_s = log.wall_s(window.begin_ns)
        found.append(
            WindowObservation(
                window=window,
                began_s=began_s,
                components=components.components(log, window, estimates=spec.estimates, meter=outside),
                use=use.use(log, window, began_s=began_s),
                host_id=log.header["boot_id"],
            )
        )
    return tuple(found)


def together(workers: Sequence[Sequence[WindowObservation]]) -> Observed:
    """One result from the windows of all workers, which measured the same ones in the same order.

    Samples are those of the first worker's windows: they are counted for all workers together.
    """
    energy: list[result.EnergyDomain] = []
    used: list[result.MachineUse] = []
    for index, first in enumerate(workers[0] if workers else ()):
        alike = [worker[index] for worker in workers if len(worker) > index]
        energy += domains.domains(
            [each.components for each in alike], first.window, began_s=first.began_s, samples=first.window.samples
        )
        by_host = {each.host_id: each.use for each in reversed(alike) if each.use is not None}
        used += reversed(by_host.values())
    return Observed(energy=tuple(energy), use=tuple(used))


def alone(own: Sequence[WindowObservation], *, workers: int) -> Observed:
    """What this worker observed of a run that failed. The energy of several workers is unknown then."""
    found = together([own])
    if workers == 1:
        return found
    return dataclasses.replace(found, energy=tuple(result.without_number(each, _UNTOLD) for each in found.energy))


def as_plain(observed: Sequence[WindowObservation]) -> list[dict[str, Any]]:
    """Plain JSON values, to send to another worker."""
    return [dataclasses.asdict(each) for each in observed]


def from_plain(values: Sequence[Mapping[str, Any]]) -> tuple[WindowObservation, ...]:
    """What another worker sent."""
    return tuple(
        WindowObservation(
            window=Window(**each["window"]),
            began_s=each["began_s"],
            components=tuple(EnergyComponent(**component) for component in each["components"]),
            use=None if each["use"] is None else result.machine_use(each["use"]),
            host_id=each["host_id"],
        )
        for each in values
    )


def _meter(
    path: pathlib.Path | None, log: MachineLog, windows: Sequence[Window]
) -> meter.MeterReadings | NoEnergyError | None:
    if path is None or not windows:
        return None
    try:
        return meter.read(path, until_s=max(log.wall_s(window.end_ns) for window in windows))
    except NoEnergyError as error:
        return error
