"""The embedded data as a config gives it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """The embedded data: scenes drawn by program, generated once into the data directory or a per-user cache.

    Args:
        train_examples: scenes in the training split.
        eval_examples: scenes in the validation split.
    """

    EMBEDDED: ClassVar[bool] = True

    train_examples: int = 4096
    eval_examples: int = 1024

    def __post_init__(self) -> None:
        require(
            (self.train_examples > 0, "train_examples", self.train_examples, "1 or more"),
            (self.eval_examples > 0, "eval_examples", self.eval_examples, "1 or more"),
        )
