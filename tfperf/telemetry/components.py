"""The energy of one host in one window, counter by counter, from its log."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import numpy as np

from tfperf import spec as specs
from tfperf import telemetry_log
from tfperf.result import EnergyStatus
from tfperf.telemetry import counters
from tfperf.telemetry.counters import NoEnergyError
from tfperf.telemetry.meter import MeterReadings
from tfperf.telemetry.use import busy_share
from tfperf.telemetry_log import MachineLog, Window

ComponentKind: TypeAlias = Literal["package", "dram", "gpu", "platform", "meter"]

_KINDS: dict[str, ComponentKind] = {"package": "package", "dram": "dram", "psys": "platform"}
_IDLE_SHARE = 0.1  # a machine that is busier is not idle
_NO_DRAM = "the processors here count no energy of their memory"
_NVML_PERIOD_S = 0.1  # how often boards update their readings, at best
_PERIODS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyComponent:
    """The energy of one counter in one window.

    Attributes:
        host_id: the same for all workers on one running host.
        host: its name.
        component: the counter, unique on its host: `package-0`, or the UUID of a GPU.
        kind: the domain that it is a part of.
        status: measured, estimated or unavailable.
        source: what measured it.
        reason: why it is not measured.
        joules: the energy; None if it is unavailable.
        idle_watts: the power before the run; None if it is unknown.
        note: what a reader should know.
    """

    host_id: str
    host: str
    component: str
    kind: ComponentKind
    status: EnergyStatus
    source: str = ""
    reason: str = ""
    joules: float | None = None
    idle_watts: float | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Counted:
    """A counter that can be read, as functions of a window; both raise NoEnergyError."""

    joules: Callable[[Window], float]
    source: str
    note: str = ""


def components(
    log: MachineLog,
    window: Window,
    *,
    estimates: specs.EnergyEstimates,
    meter: MeterReadings | NoEnergyError | None = None,
) -> tuple[EnergyComponent, ...]:
    """The energy of every counter in a window, or why there is none.

    Args:
        log: the log of the host. Its window `idle` gives the idle power.
        window: what was measured.
        estimates: what may be estimated where it can't be measured.
        meter: the external meter, or why it can't be read; None without one.
    """
    found = [*_zones(log, window), *_gpus(log, window), *_external(log, window, meter)]
    return tuple(_estimated(log, window, each, estimates) for each in found)


def _zones(log: MachineLog, window: Window) -> Iterator[EnergyComponent]:
    zones = log.header["zones"]
    if not zones:
        yield _unavailable(log, "package", "package", log.header["no_zones"])
        yield _unavailable(log, "dram", "dram", log.header["no_zones"])
        return
    for zone in zones:
        kind = _KINDS[zone["kind"]]
        if zone["reason"]:
            yield _unavailable(log, zone["name"], kind, zone["reason"])
        else:
            yield _component(log, window, zone["name"], kind, _rapl(log, zone["name"], zone["max_uj"]))
    if all(zone["kind"] != "dram" for zone in zones):
        yield _unavailable(log, "dram", "dram", _NO_DRAM)


def _rapl(log: MachineLog, name: str, max_uj: int | None) -> _Counted:
    at_ns, counter = log.at_ns, log.column("uj", name)

    def joules(window: Window) -> float:
        span = None if max_uj is None else float(max_uj)
        spans = {"begin_ns": window.begin_ns, "end_ns": window.end_ns}
        counters.require_dense(at_ns, span_joules=None if span is None else span / 1e6, **spans)
        return counters.of_counter(at_ns, counter, span=span, **spans) / 1e6

    return _Counted(joules=joules, source="RAPL (powercap)")


def _gpus(log: MachineLog, window: Window) -> Iterator[EnergyComponent]:
    if not log.header["gpus"]:
        yield _unavailable(log, "gpu", "gpu", log.header["no_gpus"])
        return
    for index, gpu in enumerate(log.header["gpus"]):
        if gpu["reason"]:
            yield _unavailable(log, gpu["uuid"], "gpu", gpu["reason"])
            continue
        found = _component(log, window, gpu["uuid"], "gpu", _nvml(log, index, gpu["has_counter"]))
        shared = _shared(log, index, window)
        notes = [found.note, gpu["note"], shared, *_short(window)]
        yield dataclasses.replace(
            found,
            note="; ".join(note for note in notes if note),
            idle_watts=None if shared else found.idle_watts,
        )


def _nvml(log: MachineLog, index: int, has_counter: bool) -> _Counted:
    at_ns = log.at_ns
    if has_counter:
        counter = log.column("gpus", index, "mj")
        return _Counted(
            joules=lambda window: (
                counters.of_counter(at_ns, counter, span=None, begin_ns=window.begin_ns, end_ns=window.end_ns) / 1e3
            ),
            source="NVML energy counter",
        )
    watts, most_gap_s = log.column("gpus", index, "watts"), 3 / log.header["rate_hz"] + 1
    return _Counted(
        joules=lambda window: counters.of_power(
            at_ns, watts, begin_ns=window.begin_ns, end_ns=window.end_ns, most_gap_s=most_gap_s
        ),
        source="NVML power, integrated",
        note=f"power was read {log.header['rate_hz']:g} times a second, so bursts in between are missing",
    )


def _shared(log: MachineLog, index: int, window: Window) -> str:
    """A sentence about others that compute on a GPU; empty if nobody does."""
    rows = [row for row in log.rows if row["at_ns"] <= window.end_ns and len(row.get("gpus", ())) > index]
    others = {pid for row in rows for pid in row["gpus"][index].get("others", ())}
    if not others:
        return ""
    uuid = log.header["gpus"][index]["uuid"]
    named = ", ".join(map(str, sorted(others)[:5]))
    return f"{uuid} was also used by processes of others ({named}): their energy is included"


def _short(window: Window) -> Iterator[str]:
    least_s = _PERIODS * _NVML_PERIOD_S
    if window.seconds < least_s:
        yield f"measured for {window.seconds:.3g} s; NVML's readings are only sound over {least_s:g} s or more"


def _external(
    log: MachineLog, window: Window, meter: MeterReadings | NoEnergyError | None
) -> Iterator[EnergyComponent]:
    if meter is None:
        return
    if isinstance(meter, NoEnergyError):
        yield _unavailable(log, "meter", "meter", str(meter))
        return

    def joules(span: Window) -> float:
        begin_s = log.wall_s(span.begin_ns)
        return meter.joules(begin_s=begin_s, end_s=begin_s + span.seconds)

    yield _component(log, window, "meter", "meter", _Counted(joules=joules, source=f"csv:{meter.path}"))


def _component(log: MachineLog, window: Window, name: str, kind: ComponentKind, counted: _Counted) -> EnergyComponent:
    try:
        joules = counted.joules(window)
    except NoEnergyError as error:
        return _unavailable(log, name, kind, str(error))
    idle_watts, busy = _idle(log, counted)
    return EnergyComponent(
        host_id=log.header["boot_id"],
        host=log.header["host"],
        component=name,
        kind=kind,
        status="measured",
        source=counted.source,
        joules=joules,
        idle_watts=idle_watts,
        note="; ".join(note for note in (counted.note, busy) if note),
    )


def _idle(log: MachineLog, counted: _Counted) -> tuple[float | None, str]:
    """The power in the window before the run, and why it is unknown although there was one."""
    window = next((each for each in log.windows if each.name == telemetry_log.IDLE), None)
    if window is None or window.seconds <= 0:
        return None, ""
    busy = busy_share(log, window)
    if busy is not None and busy > _IDLE_SHARE:
        return None, f"the idle power is unknown: the processors were {busy:.0%} busy before the run"
    try:
        return counted.joules(window) / window.seconds, ""
    except NoEnergyError as error:
        return None, f"the idle power is unknown: {error}"


def _unavailable(log: MachineLog, name: str, kind: ComponentKind, reason: str) -> EnergyComponent:
    return EnergyComponent(
        host_id=log.header["boot_id"],
        host=log.header["host"],
        component=name,
        kind=kind,
        status="unavailable",
        reason=reason,
    )


def _estimated(
    log: MachineLog, window: Window, found: EnergyComponent, estimates: specs.EnergyEstimates
) -> EnergyComponent:
    """An estimate in place of what is unavailable, if the config names the domain."""
    by_kind = {"package": estimates.package, "dram": estimates.dram}
    power = by_kind.get(found.kind)
    busy = busy_share(log, window)
    if power is None or found.status != "unavailable" or busy is None or not np.isfinite(busy):
        return found
    watts = power.idle_watts + (power.full_watts - power.idle_watts) * busy
    return dataclasses.replace(
        found,
        component=found.kind,  # the estimate is for all of the host, and so once if several counters are unreadable
        status="estimated",
        source=f"{power.idle_watts:g} W idle to {power.full_watts:g} W with all cores busy, as the config says",
        reason=f"not measured: {found.reason}",
        joules=watts * window.seconds,
        idle_watts=power.idle_watts,
    )
