"""How samples arrive: LoadGen's scenarios."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleStream:
    """One sample at a time, the next one after the answer. The metric is the 90th percentile of the latency."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiStream:
    """Several samples at a time, the next ones after all answers. The metric is the 99th percentile of the latency.

    Args:
        samples_per_query: samples that arrive together; 8 in the rules.
    """

    samples_per_query: int = 8

    def __post_init__(self) -> None:
        require((self.samples_per_query > 0, "samples_per_query", self.samples_per_query, "1 or more"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """Samples that arrive one by one at random. The metric is the rate at which 99 % are answered within the bound.

    Args:
        target_qps: samples per second, as a Poisson process; `auto` searches for the highest valid rate.
        latency_bound_ms: replaces the benchmark's bound in open and internal runs.
    """

    target_qps: float | Literal["auto"] = "auto"
    latency_bound_ms: float | None = None

    def __post_init__(self) -> None:
        rate, bound = self.target_qps, self.latency_bound_ms
        require(
            (rate == "auto" or (math.isfinite(rate) and rate > 0), "target_qps", rate, "more than 0, or auto"),
            (bound is None or (math.isfinite(bound) and bound > 0), "latency_bound_ms", bound, "more than 0, or null"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offline:
    """All samples at once. The metric is samples per second."""


Scenario = SingleStream | MultiStream | Server | Offline
