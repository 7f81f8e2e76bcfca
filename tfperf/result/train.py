"""The result of a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from tfperf import notebook
from tfperf.result.bottleneck import Bottleneck
from tfperf.result.energy import EnergyDomain, energy_lines
from tfperf.result.machine_use import MachineUse
from tfperf.result.measurement import SCHEMA, Measurement, Quality


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainResult:
    """The result of a training run.

    Attributes:
        benchmark: the benchmark's name.
        division: closed, open or internal.
        valid: whether `time_to_train_s` may be quoted: the target was reached and nothing failed.
        reasons: why the result is not valid; empty if it is.
        closed_eligible: whether the result follows every rule of the closed division that tfperf can check.
        closed_ineligible_because: the broken rules.
        status: `success` when the target was reached, otherwise `aborted`.
        config: the resolved spec.
        environment: the machine and the software.
        time_to_train_s: seconds from `run_start` to `run_stop`; None unless the target was reached.
        run_s: seconds on the clock, whether or not the target was reached.
        quality: the last evaluation.
        untrained_quality: the same metric before the first step; None if it was not evaluated.
        epochs: epochs trained when the clock stopped; in a run that counts samples, whole passes over the training set.
        samples: samples trained when the clock stopped, in a run that counts them; None in a run that counts epochs.
        examples_per_s: training examples per second of training time, without evaluations.
        skipped_examples: the names of corrupt examples that the spec allowed to skip.
        measurements: further numbers.
        energy: the energy of each measured window, by domain.
        use: how each host was used during it.
        bottlenecks: what limited the run.
        notes: what a reader of the numbers should know.
    """

    benchmark: str
    division: str
    valid: bool
    reasons: tuple[str, ...]
    closed_eligible: bool
    closed_ineligible_because: tuple[str, ...]
    status: Literal["success", "aborted"]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    time_to_train_s: float | None
    run_s: float
    quality: Quality
    epochs: int
    examples_per_s: float | None
    samples: int | None = None
    untrained_quality: float | None = None
    skipped_examples: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    energy: tuple[EnergyDomain, ...] = ()
    use: tuple[MachineUse, ...] = ()
    bottlenecks: tuple[Bottleneck, ...] = ()
    notes: tuple[str, ...] = ()
    kind: Literal["train"] = "train"
    schema: int = SCHEMA

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        quality, target = self.quality, self.quality.target
        return notebook.shown(
            f"{self.benchmark}, {self.division}: {self.status}",
            reasons=self.reasons,
            rows=(
                ("time to train (s)", self.time_to_train_s),
                ("on the clock (s)", self.run_s),
                (quality.metric, quality.value),
                (f"{quality.metric} before training", self.untrained_quality),
                ("target", None if target is None else f"{target:g}, {'reached' if quality.reached else 'missed'}"),
                ("epochs", self.epochs) if self.samples is None else ("samples", self.samples),
                ("examples/s", self.examples_per_s),
                *((f"{each.name} ({each.unit})", each.value) for each in self.measurements),
                ("energy", "\n".join(energy_lines(self.energy)) or None),
                ("notes", "\n".join(self.notes) or None),
            ),
        )
