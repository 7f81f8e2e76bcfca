"""A training run."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from tfperf.spec.data import Data
from tfperf.spec.division import Division
from tfperf.spec.optimizers import Optimizer
from tfperf.spec.requirement import require
from tfperf.spec.submission import Submission

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Jit = Literal["auto", "on", "off"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """After which epochs the model is evaluated: those with `epoch % every_epochs == offset % every_epochs`.

    Args:
        every_epochs: epochs between evaluations.
        offset: shifts them; the last epoch is always evaluated.
    """

    every_epochs: int = 1
    offset: int = 0

    def __post_init__(self) -> None:
        require(
            (self.every_epochs > 0, "every_epochs", self.every_epochs, "1 or more"),
            (0 <= self.offset < max(self.every_epochs, 1), "offset", self.offset, f"0 to {self.every_epochs - 1}"),
        )

    def due(self, epoch: int, *, max_epochs: int) -> bool:
        """Whether epoch number `epoch`, counted from 1, ends with an evaluation."""
        return epoch % self.every_epochs == self.offset or epoch == max_epochs


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """One training run, complete: with the code version and the data it repeats the run.

    Args:
        benchmark: name of a benchmark, or the dotted path of a module that holds one.
        division: see `Division`.
        global_batch_size: examples in one optimizer step over all replicas and accumulated micro-batches.
        max_epochs: the run ends `aborted` when the target was not reached by then.
        optimizer: one of the optimizers.
        data: where examples come from.
        model: the benchmark's own options, a dataclass; None takes the benchmark's.
        quality_target: in open and internal runs, in place of the benchmark's.
        evaluation: when the model is evaluated.
        precision: a Keras dtype policy.
        gradient_accumulation_steps: micro-batches in one optimizer step.
        steps_per_execution: steps on the device between looks at the host.
        jit: whether XLA compiles the step; `auto` decides by device.
        deterministic: same seed, same losses, on one worker. Slower.
        seed: None draws one from the system's entropy, as the closed division asks.
        submission: who ran it on what.
    """

    benchmark: str
    division: Division
    global_batch_size: int
    max_epochs: int
    optimizer: Optimizer
    data: Data
    model: Any = None
    quality_target: float | None = None
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    precision: Precision = "float32"
    gradient_accumulation_steps: int = 1
    steps_per_execution: int = 1
    jit: Jit = "auto"
    deterministic: bool = False
    seed: int | None = None
    submission: Submission = dataclasses.field(default_factory=Submission)

    def __post_init__(self) -> None:
        batch, accumulated = self.global_batch_size, self.gradient_accumulation_steps
        seed, target = self.seed, self.quality_target
        require(
            (batch > 0, "global_batch_size", batch, "1 or more"),
            (self.max_epochs > 0, "max_epochs", self.max_epochs, "1 or more"),
            (self.steps_per_execution > 0, "steps_per_execution", self.steps_per_execution, "1 or more"),
            (
                accumulated > 0 and batch % accumulated == 0,
                "gradient_accumulation_steps",
                accumulated,
                f"a divisor of global_batch_size={batch}",
            ),
            (seed is None or 0 <= seed < 2**31, "seed", seed, "0 to 2147483647, or null"),
            (target is None or math.isfinite(target), "quality_target", target, "a number, or null"),
        )
