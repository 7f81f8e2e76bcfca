"""The energy of a measured window, by the parts of the machines that took it."""

from __future__ import annotations

import dataclasses
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
