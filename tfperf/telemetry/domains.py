"""The energy of a run by domain, from the counters of all its hosts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfperf.result import EnergyDomain, EnergyStatus
from tfperf.telemetry.components import ComponentKind, EnergyComponent
from tfperf.telemetry_log import Window

_ORDER: tuple[ComponentKind, ...] = ("package", "dram", "gpu", "platform", "meter")
_SUMMED: tuple[ComponentKind, ...] = ("package", "dram", "gpu")  # the others contain these


def domains(
    workers: Sequence[Sequence[EnergyComponent]], window: Window, *, began_s: float, samples: int | None
) -> tuple[EnergyDomain, ...]:
    """The energy of each domain, and the sum of those that are measured.

    Args:
        workers: the counters of each worker. What two workers on one host both read counts once.
        window: what was measured.
        began_s: when it began, in seconds since the Unix epoch.
        samples: samples in it, of all workers together.
    """
    found = _once(workers)
    by_kind = {kind: [each for each in found if each.kind == kind] for kind in _ORDER}
    made = [_domain(kind, parts, window, began_s, samples) for kind, parts in by_kind.items() if parts]
    measured = [each for each in made if each.status == "measured" and each.domain in _SUMMED]
    if len(measured) > 1:
        made.append(_sum(measured, window, began_s, samples))
    return tuple(made)


def _once(workers: Sequence[Sequence[EnergyComponent]]) -> list[EnergyComponent]:
    """Each counter of each host once; one that only some of its workers could read, as they did."""
    found: dict[tuple[str, str], EnergyComponent] = {}
    for each in (component for worker in workers for component in worker):
        known = found.get((each.host_id, each.component))
        if known is None or (known.status != "measured" and each.status == "measured"):
            found[each.host_id, each.component] = each
    return list(found.values())


def _domain(
    kind: ComponentKind, parts: Sequence[EnergyComponent], window: Window, began_s: float, samples: int | None
) -> EnergyDomain:
    statuses = {part.status for part in parts}
    if statuses in ({"measured"}, {"estimated"}):
        (status,) = statuses
        idle = [part.idle_watts for part in parts]
        return _amounts(
            kind,
            status,
            window,
            began_s,
            samples,
            joules=sum(part.joules or 0.0 for part in parts),
            idle_watts=sum(watts for watts in idle if watts is not None) if None not in idle else None,
            source=_joined(part.source for part in parts),
            reason=_joined(part.reason for part in parts),
            note=_joined(part.note for part in parts),
        )
    return EnergyDomain(
        domain=kind,
        status="unavailable",
        window=window.name,
        began_s=began_s,
        seconds=window.seconds,
        samples=samples,
        reason=_reason(parts),
    )


def _sum(measured: Sequence[EnergyDomain], window: Window, began_s: float, samples: int | None) -> EnergyDomain:
    idle = [each.idle_watts for each in measured]
    return _amounts(
        " + ".join(each.domain for each in measured),
        "measured",
        window,
        began_s,
        samples,
        joules=sum(each.joules or 0.0 for each in measured),
        idle_watts=sum(watts for watts in idle if watts is not None) if None not in idle else None,
        source="sum",
    )


def _amounts(
    domain: str,
    status: EnergyStatus,
    window: Window,
    began_s: float,
    samples: int | None,
    *,
    joules: float,
    idle_watts: float | None,
    source: str,
    reason: str = "",
    note: str = "",
) -> EnergyDomain:
    seconds = window.seconds
    return EnergyDomain(
        domain=domain,
        status=status,
        window=window.name,
        began_s=began_s,
        seconds=seconds,
        source=source,
        reason=reason,
        joules=joules,
        watts=joules / seconds if seconds else None,
        idle_watts=idle_watts,
        net_joules=None if idle_watts is None else joules - idle_watts * seconds,
        samples=samples,
        joules_per_sample=joules / samples if samples else None,
        samples_per_s_per_watt=samples / joules if samples and joules else None,
        note=note,
    )


def _reason(parts: Sequence[EnergyComponent]) -> str:
    """Why a domain has no number. Names the hosts and counters only where they differ."""
    lacking = [part for part in parts if part.status == "unavailable"]
    if not lacking:
        named = _joined(f"{part.status} on {part.host}" for part in parts)
        return f"{named}: measured and estimated energy is never added"
    reasons = {part.reason for part in lacking}
    if len(reasons) == 1 and len(lacking) == len(parts):
        return reasons.pop()
    return _joined(f"{part.component} of {part.host}: {part.reason}" for part in lacking)


def _joined(texts: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))
