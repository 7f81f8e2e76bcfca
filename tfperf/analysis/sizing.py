"""How many systems carry a rate under a latency bound, from what one of them was measured to carry."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class CarriedLoad:
    """A load that was measured on one system.

    Attributes:
        rate: requests per second.
        latency: its latency percentile, in any unit.
        low: the lower end of its interval; None if it has none.
        high: the upper end.
    """

    rate: float
    latency: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capacity:
    """What one system carries within a bound.

    Attributes:
        rate: the highest measured rate whose latency kept the bound. Nothing is extrapolated.
        careful: the highest whose whole interval kept it; None if none did, or intervals are unknown.
        hopeful: the highest whose interval did not lie above it all.
        at: the load of `rate`.
        highest: whether no higher rate was measured, so that a system may carry more.
    """

    rate: float
    careful: float | None
    hopeful: float
    at: CarriedLoad
    highest: bool


def capacity(loads: Sequence[CarriedLoad], *, bound: float) -> Capacity | None:
    """What one system carries; None if no load kept the bound.

    A load counts only if every lower one kept the bound as well: beyond the first that broke it, one that kept it was
    luck.

    Args:
        loads: in any order.
        bound: the highest latency allowed, in the unit of the loads.
    """
    ordered = sorted(loads, key=lambda load: load.rate)
    kept = _first(ordered, [load.latency <= bound for load in ordered])
    if not kept:
        return None
    sure = _first(ordered, [load.high is not None and load.high <= bound for load in ordered])
    perhaps = _first(ordered, [(load.latency if load.low is None else load.low) <= bound for load in ordered])
    return Capacity(
        rate=kept[-1].rate,
        careful=sure[-1].rate if sure else None,
        hopeful=perhaps[-1].rate,
        at=kept[-1],
        highest=len(kept) == len(ordered),
    )


def systems(rate: float, *, capacity_rate: float, spare: int) -> int:
    """How many systems carry a rate when so many of them have failed, if requests are spread evenly.

    Args:
        rate: requests per second of all.
        capacity_rate: what one carries.
        spare: how many may fail.
    """
    # A share of 1e-9 is the rounding of the division, and no reason for one more system.
    return max(1, math.ceil(rate / capacity_rate * (1 - 1e-9))) + spare


def _first(ordered: Sequence[CarriedLoad], keeps: Sequence[bool]) -> list[CarriedLoad]:
    """The loads before the first that does not keep the bound."""
    count = keeps.index(False) if False in keeps else len(keeps)
    return list(ordered[:count])
