"""Where examples come from."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Where examples come from.

    Args:
        source: a dataclass among the `sources` of the benchmark's task.
        skip_corrupt: how many corrupt examples an open or internal run may skip before it fails. Each one is named.
    """

    source: Any
    skip_corrupt: int = 0

    def __post_init__(self) -> None:
        require((self.skip_corrupt >= 0, "skip_corrupt", self.skip_corrupt, "0 or more"))
