"""Who ran the benchmark, and on what."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """Who ran the benchmark and on what, as the log states it.

    Args:
        org: the submitting organisation.
        platform: the system's name; None names the machine's processor or accelerators.
        status: availability of the system.
    """

    org: str = "unspecified"
    platform: str | None = None
    status: Literal["cloud", "onprem", "preview", "research"] = "research"

    def __post_init__(self) -> None:
        require(
            (bool(self.org.strip()), "org", self.org, "a name"),
            (self.platform is None or bool(self.platform.strip()), "platform", self.platform, "a name, or null"),
        )
