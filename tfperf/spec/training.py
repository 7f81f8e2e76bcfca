"""A training run."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from tfperf.spec.data import Data
from tfperf.spec.division import Division
from tfperf.spec.optimizers import Adam, AdamW, Lamb, Momentum, Optimizer
from tfperf.spec.requirement import require
from tfperf.spec.submission import Submission
from tfperf.spec.telemetry import TelemetrySpec

Precision = Literal["float32", "tf32", "mixed_bfloat16", "mixed_float16"]
Jit = Literal["auto", "on", "off"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """When the model is evaluated: at a cadence in epochs or in samples, and always at the end of the run.

    Args:
        every_epochs: epochs between evaluations, which follow the epochs with `epoch % every_epochs == offset`. Without
            any cadence, every epoch is evaluated.
        every_samples: training samples between evaluations. Each is at the first step at or after a multiple of this
            number, as MLPerf's rules round it for BERT. Epochs then play no role, and the log counts samples.
        offset: shifts the evaluations by this many epochs.
        at_start: whether the model is also evaluated before the first step, on the clock. That shows whether a
            checkpoint was loaded as it should be. If the model reaches the target there, the run ends and is invalid,
            since nothing was trained.
    """

    every_epochs: int | None = None
    every_samples: int | None = None
    offset: int = 0
    at_start: bool = False

    def __post_init__(self) -> None:
        if self.every_epochs is None and self.every_samples is None:
            object.__setattr__(self, "every_epochs", 1)
        epochs, samples = self.every_epochs, self.every_samples
        most = 0 if samples is not None or epochs is None else max(epochs - 1, 0)
        require(
            (epochs is None or samples is None, "every_epochs", epochs, f"left out with every_samples={samples}"),
            (epochs is None or epochs > 0, "every_epochs", epochs, "1 or more"),
            (samples is None or samples > 0, "every_samples", samples, "1 or more"),
            (
                0 <= self.offset <= most,
                "offset",
                self.offset,
                f"0 to {most}" if samples is None else "0 with every_samples",
            ),
        )

    def due(self, epoch: int, *, max_epochs: int) -> bool:
        """Whether epoch number `epoch`, counted from 1, ends with an evaluation. Needs a cadence in epochs.

        Raises:
            ValueError: the cadence is in samples.
        """
        if self.every_epochs is None:
            raise ValueError(f"An evaluation every {self.every_samples} samples is not due after an epoch.")
        return epoch % self.every_epochs == self.offset or epoch == max_epochs


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSpec:
    """One training run. With the code version and the data, it repeats the run.

    Args:
        benchmark: name of a benchmark, or the dotted path of a module that holds one.
        division: see `Division`.
        global_batch_size: examples in one optimizer step over all replicas and accumulated micro-batches.
        max_epochs: epochs after which a run that has not reached the target ends `aborted`.
        max_steps: optimizer steps after which it does, in place of `max_epochs`.
        optimizer: one of the optimizers.
        data: where examples come from.
        model: the benchmark's own options, a dataclass; None takes its defaults.
        quality_target: replaces the benchmark's target in open and internal runs.
        evaluation: when the model is evaluated.
        precision: a Keras dtype policy, or `tf32`. `float32` is float32 on every device; with `tf32`, GPUs from Ampere
            on round the factors of products and convolutions to 10 bits of mantissa, as TensorFlow does by default.
        gradient_accumulation_steps: micro-batches in one optimizer step.
        steps_per_execution: steps per host callback.
        jit: whether XLA compiles the step; `auto` decides by the device.
        deterministic: same seed, same losses, on one worker. Slower.
        seed: None draws one from the system's entropy, as the closed division requires.
        telemetry: how the machine's use and energy are recorded.
        submission: who ran the benchmark, and on what.
    """

    benchmark: str
    division: Division
    global_batch_size: int
    max_epochs: int | None = None
    max_steps: int | None = None
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
    telemetry: TelemetrySpec = dataclasses.field(default_factory=TelemetrySpec)
    submission: Submission = dataclasses.field(default_factory=Submission)

    def __post_init__(self) -> None:
        batch, accumulated = self.global_batch_size, self.gradient_accumulation_steps
        epochs, steps = self.max_epochs, self.max_steps
        seed, target = self.seed, self.quality_target
        require(
            (batch > 0, "global_batch_size", batch, "1 or more"),
            (
                epochs is None or steps is None,
                "max_epochs",
                epochs,
                f"left out with max_steps={steps}: give one of them",
            ),
            (epochs is not None or steps is not None, "max_epochs", epochs, "given, or max_steps"),
            (epochs is None or epochs > 0, "max_epochs", epochs, "1 or more"),
            (epochs is None or epochs < 2**31, "max_epochs", epochs, "2147483647 or less"),
            (steps is None or steps > 0, "max_steps", steps, "1 or more"),
            (steps is None or steps < 2**31, "max_steps", steps, "2147483647 or less"),
            (self.steps_per_execution > 0, "steps_per_execution", self.steps_per_execution, "1 or more"),
            (
                accumulated > 0 and batch % accumulated == 0,
                "gradient_accumulation_steps",
                accumulated,
                f"a divisor of global_batch_size={batch}",
            ),
            (seed is None or 0 <= seed < 2**31, "seed", seed, "0 to 2147483647, or null"),
            *_warmup(self.optimizer, epochs=epochs, steps=steps),
            (target is None or math.isfinite(target), "quality_target", target, "a number, or null"),
        )


def _warmup(
    optimizer: Optimizer, *, epochs: int | None, steps: int | None
) -> tuple[tuple[bool, str, object, str], ...]:
    """The check that the warm-up is no longer than the run, if both count epochs or both count steps."""
    name = type(optimizer).__name__.lower()
    if isinstance(optimizer, Lamb | AdamW | Momentum):
        if steps is None:
            return ()
        ends = optimizer.warmup_steps + (optimizer.start_warmup_step if isinstance(optimizer, Lamb) else 0)
        accepted = f"short enough to end within max_steps={steps}"
        return ((ends <= steps, f"optimizer.{name}.warmup_steps", optimizer.warmup_steps, accepted),)
    if epochs is None or (not isinstance(optimizer, Adam) and optimizer.decay_steps is not None):
        return ()
    unless = "" if isinstance(optimizer, Adam) else ", unless decay_steps is given"
    warmup, accepted = optimizer.warmup_epochs, f"at most max_epochs={epochs}{unless}"
    return ((warmup <= epochs, f"optimizer.{name}.warmup_epochs", warmup, accepted),)
