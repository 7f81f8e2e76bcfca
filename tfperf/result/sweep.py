"""The result of a sweep."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from tfperf import notebook
from tfperf.result.measurement import SCHEMA, Measurement


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepTrial:
    """A trial of a sweep.

    Attributes:
        name: its number.
        status: `completed`, `stopped` early, `failed`, or `running` if the sweep was interrupted.
        reason: why it was stopped or failed.
        values: field of the spec -> the tried value.
        seed: its seed; None for a measurement.
        objective: the value of the objective; None if the trial has none.
        quality: quality at the last evaluation; for a measurement, in the accuracy run.
        time_to_target_s: seconds on the clock; None if the target was not reached or is not the objective.
        examples_per_s: training examples per second.
        epochs: trained epochs.
        executable: the compiled form that was served; None for a training.
    """

    name: str
    status: Literal["running", "completed", "stopped", "failed"]
    reason: str
    values: Mapping[str, Any]
    seed: int | None
    objective: float | None
    quality: float | None
    time_to_target_s: float | None
    examples_per_s: float | None
    epochs: int
    executable: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The best values against the default values: over the same new seeds, or in alternating new measurements.

    Attributes:
        default: the objective of each run with the default values; None if a run has none.
        best: the objective of each run with the best values.
        improvement: improvement of the mean, positive if the best values are better; None if a run has no objective.
        low: the lower end of its 95 % confidence interval by Welch's t-test.
        high: the upper end.
        beyond_noise: whether the interval is above 0.
    """

    default: tuple[float | None, ...]
    best: tuple[float | None, ...]
    improvement: float | None = None
    low: float | None = None
    high: float | None = None
    beyond_noise: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The result of a sweep. It is internal: nothing in it is a result by the rules.

    Attributes:
        benchmark: the benchmark's name.
        valid: whether a best trial was found.
        reasons: why not.
        status: `success`, `failed` if no trial has an objective, `incomplete` if it was interrupted.
        config: the resolved sweep.
        environment: the machine and the software.
        objective: what the sweep optimises.
        direction: whether a higher or a lower objective is better.
        trials: all trials by number.
        best: the name of the best trial.
        best_values: its values by field.
        default_values: the values of the base by field.
        comparison: the comparison of both; None if none was made.
        closed_rules: field -> `allowed`, or what the closed rules say about its best value.
        measurements: further numbers.
        notes: what a reader of the numbers should know.
    """

    benchmark: str
    valid: bool
    reasons: tuple[str, ...]
    status: Literal["success", "failed", "incomplete"]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    objective: str
    direction: Literal["max", "min"]
    trials: tuple[SweepTrial, ...]
    best: str | None = None
    best_values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    default_values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    comparison: Comparison | None = None
    closed_rules: Mapping[str, str] = dataclasses.field(default_factory=dict)
    closed_eligible: bool = False
    closed_ineligible_because: tuple[str, ...] = ("A sweep is internal.",)
    measurements: tuple[Measurement, ...] = ()
    notes: tuple[str, ...] = ()
    division: Literal["internal"] = "internal"
    kind: Literal["sweep"] = "sweep"
    schema: int = SCHEMA

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        best = next((trial.objective for trial in self.trials if trial.name == self.best), None)
        return notebook.shown(
            f"sweep of {self.benchmark}, {self.division}: {self.status}",
            reasons=self.reasons,
            rows=(
                ("trials", len(self.trials)),
                ("best trial", self.best),
                (f"best {self.objective}", best),
                *(
                    (f"{field} (default {self.default_values.get(field)})", value)
                    for field, value in self.best_values.items()
                ),
                ("notes", "\n".join(self.notes) or None),
            ),
        )
