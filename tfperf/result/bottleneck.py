"""What limited a run."""

from __future__ import annotations

import dataclasses
from typing import Literal

Limit = Literal["input", "compute", "dispatch", "queueing", "memory", "load generator", "inconclusive"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bottleneck:
    """What limited a run during one window.

    Attributes:
        window: as in `EnergyDomain`.
        verdict: `input` (making the inputs), `compute` (arithmetic), `dispatch` (starting the model's operations),
            `queueing` (more load than the model answers), `memory` (moving data to and from memory), `load generator`
            (the issuer could not send more), or `inconclusive`.
        evidence: sentences: of a load first why, then the numbers that it rests on.
    """

    window: str
    verdict: Limit
    evidence: tuple[str, ...]
