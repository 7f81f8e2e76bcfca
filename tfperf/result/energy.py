"""The energy of a measured window, by the parts of the machines that took it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

EnergyStatus = Literal["measured", "estimated", "unavailable"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnergyDomain:
    """The energy of one domain over one window, on all hosts of the run together.

    A number exists only if every host has it. Domains overlap: `platform` and `meter` contain the others, and a sum is
    named after its parts.

    Attributes:
        domain: `package` (processors), `dram`, `gpu`, `platform` (all that the mainboard counts), `meter` (an external
            one), or a sum of measured ones such as `package + gpu`.
        status: `measured`, `estimated` or `unavailable`.
        source: what measured or estimated it; empty if it is unavailable.
        reason: why it is unavailable or estimated; empty if it is measured.
        window: what was measured: `training`, `performance`, or a load of an evaluation.
        began_s: when the window began, in seconds since the Unix epoch.
        seconds: how long it was.
        joules: all energy in the window (gross); None if it is unavailable.
        watts: the mean power; None if it is unavailable.
        idle_watts: the power before the run, when nothing ran; None if it is unknown.
        net_joules: `joules` less what the idle machine would have used; None without `idle_watts`.
        samples: samples that were answered or trained in the window; None if unknown.
        joules_per_sample: gross; None if either is unknown.
        samples_per_s_per_watt: performance per watt; None if either is unknown.
        note: what a reader of the number should know.
    """

    domain: str
    status: EnergyStatus
    window: str
    began_s: float
    seconds: float
    source: str = ""
    reason: str = ""
    joules: float | None = None
    watts: float | None = None
    idle_watts: float | None = None
    net_joules: float | None = None
    samples: int | None = None
    joules_per_sample: float | None = None
    samples_per_s_per_watt: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if (self.status == "unavailable") != (self.joules is None):
            raise ValueError(f"{self.domain} is {self.status} with joules={self.joules}.")
        if (self.status == "measured") == bool(self.reason):
            raise ValueError(f"{self.domain} is {self.status} with the reason {self.reason!r}.")

    @property
    def in_words(self) -> str:
        """The numbers on one line, or why there are none."""
        if self.joules is None:
            return f"unavailable: {self.reason}"
        idle = "" if self.idle_watts is None else f" (idle {self.idle_watts:.4g} W, net {_number(self.net_joules)} J)"
        found = [
            f"{self.status} {_number(self.joules)} J in {self.seconds:.4g} s",
            f"{_number(self.watts)} W{idle}",
            *([] if self.joules_per_sample is None else [f"{_number(self.joules_per_sample)} J/sample"]),
            *(
                []
                if self.samples_per_s_per_watt is None
                else [f"{_number(self.samples_per_s_per_watt)} samples/s per W"]
            ),
        ]
        notes = [f"by {self.source}", *(note for note in (self.reason, self.note) if note)]
        return f"{', '.join(found)}; {'; '.join(notes)}"


def energy_lines(energy: Sequence[EnergyDomain]) -> tuple[str, ...]:
    """All domains in words, a line each. Domains that are unavailable for the same reason share one."""
    several = len({(each.window, each.began_s) for each in energy}) > 1
    lines: dict[str, dict[str, None]] = {}
    for each in energy:
        known = f" in {each.window}" if several and each.joules is not None else ""
        lines.setdefault(f"{known}: {each.in_words}", {})[each.domain] = None
    return tuple(f"{', '.join(named)}{words}" for words, named in lines.items())


def without_number(each: EnergyDomain, reason: str) -> EnergyDomain:
    """The domain as unavailable, for another reason than its counters."""
    return EnergyDomain(
        domain=each.domain,
        status="unavailable",
        window=each.window,
        began_s=each.began_s,
        seconds=each.seconds,
        samples=each.samples,
        reason=reason,
    )


def _number(value: float | None) -> str:
    if value is None:
        return "--"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
