"""The processors that a run uses."""

from __future__ import annotations

import dataclasses
from typing import Literal

DeviceKind = Literal["cpu", "gpu", "tpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """Processors to run on: `count` of one kind in this process; None takes all of them."""

    kind: DeviceKind
    count: int | None = None
