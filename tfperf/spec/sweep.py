"""A sweep over the fields of a run."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from tfperf.spec.division import Division
from tfperf.spec.inference import InferSpec
from tfperf.spec.requirement import require
from tfperf.spec.scenario import MultiStream, SingleStream
from tfperf.spec.training import TrainSpec

_MOST_CHOICES = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One of `values`, which may have any type that the field takes."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        count = len(self.values)
        few = 0 < count <= _MOST_CHOICES
        different = few and all(value not in self.values[:i] for i, value in enumerate(self.values))
        received = list(self.values) if count <= _MOST_CHOICES else f"{count:,} values"
        require((different, "choice", received, f"1 to {_MOST_CHOICES} different values"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uniform:
    """A number from `low` to `high`, all equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        require((_ascending(self.low, self.high), "uniform", [self.low, self.high], "[low, high] with low < high"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogUniform:
    """A number from `low` to `high`, all orders of magnitude equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        holds = _ascending(self.low, self.high) and self.low > 0
        require((holds, "log_uniform", [self.low, self.high], "[low, high] with 0 < low < high"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Integers:
    """A whole number from `low` to `high`, `step` apart."""

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        holds = self.low < self.high and self.step > 0
        accepted = "[low, high] or [low, high, step] with low < high and step 1 or more"
        require((holds, "integers", [self.low, self.high, self.step], accepted))


Range = Choice | Uniform | LogUniform | Integers


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """The median stopping rule: ends a trial whose best quality is below the median of the other trials' averages.

    From D. Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.1.

    Args:
        after_epochs: epochs before a trial is judged.
        after_trials: finished trials before any trial is judged.
    """

    after_epochs: int = 1
    after_trials: int = 3

    def __post_init__(self) -> None:
        require(
            (self.after_epochs > 0, "after_epochs", self.after_epochs, "1 or more"),
            (self.after_trials > 0, "after_trials", self.after_trials, "1 or more"),
        )


Objective = Literal["quality", "time_to_target", "examples_per_s", "throughput", "latency"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSpec:
    """One sweep: which fields of a run to vary, how, and for which objective. It is always internal.

    Args:
        base: the run whose fields are varied. The best trial is compared with its own values, the default.
        space: (dotted field of `base`, its range) pairs.
        objective: for training `quality` at the end of the run, `time_to_target` in seconds, or `examples_per_s`; for
            serving LoadGen's own metric: `throughput` in samples/s or, in the streams, `latency` in ms.
        search: keras-tuner's RandomSearch, BayesianOptimization, Hyperband or GridSearch.
        max_trials: most trials. Hyperband plans its own number and ends earlier if that is smaller. None, for a grid
            alone, tries all of it.
        seed: seeds the search and, together with a trial's values, a training trial.
        early_stopping: when to end a trial of poor quality early; None for never. Not for `examples_per_s`.
        repeats: runs of the best trial and of the default that are compared at the end; 0 skips the comparison.
        trial_limit_s: seconds after which a trial counts as failed; None sets no limit.
        division: `internal`, and nothing else.
    """

    base: TrainSpec | InferSpec
    space: tuple[tuple[str, Range], ...]
    objective: Objective
    search: Literal["random", "bayesian", "hyperband", "grid"]
    max_trials: int | None = None
    seed: int = 1
    early_stopping: EarlyStopping | None = dataclasses.field(default_factory=EarlyStopping)
    repeats: int = 3
    trial_limit_s: float | None = None
    division: Division = Division.INTERNAL

    def __post_init__(self) -> None:
        limit, division = self.trial_limit_s, str(self.division)
        objectives, of_base = _objectives(self.base)
        serves = isinstance(self.base, InferSpec)
        require(
            (bool(self.space), "space", dict(self.space), "one field with its range, or more"),
            (self.objective in objectives, "objective", self.objective, f"{' or '.join(objectives)} for {of_base}"),
            (
                not (serves and self.search == "hyperband"),
                "search",
                self.search,
                "random, bayesian or grid for a measurement, which has no epochs",
            ),
            (
                not (serves and self.early_stopping is not None),
                "early_stopping",
                self.early_stopping,
                "null for a measurement, which has no epochs",
            ),
            *_in_epochs(self.base),
            (
                self.search == "grid" if self.max_trials is None else self.max_trials > 0,
                "max_trials",
                self.max_trials,
                "1 or more; only a grid ends without it",
            ),
            (0 < self.seed < 2**31, "seed", self.seed, "1 to 2147483647"),
            (self.repeats == 0 or self.repeats > 1, "repeats", self.repeats, "2 or more, or 0"),
            (limit is None or limit > 0, "trial_limit_s", limit, "more than 0, or null"),
            (division == "internal", "division", division, "internal, which may be left out: a sweep is not a result"),
        )

    @property
    def most_trials(self) -> int:
        """`max_trials`, or the size of the grid."""
        return (
            math.prod(_grid_points(values) for _, values in self.space) if self.max_trials is None else self.max_trials
        )


def _grid_points(values: Range) -> int:
    """How many values of a range keras-tuner's grid tries."""
    if isinstance(values, Choice):
        return len(values.values)
    if isinstance(values, Integers):
        return (values.high - values.low) // values.step + 1
    return 11  # the low end, and ten evenly spaced between the ends


def _in_epochs(base: TrainSpec | InferSpec) -> tuple[tuple[bool, str, object, str], ...]:
    """The checks that a trial can be given a number of epochs and judged after each evaluation."""
    if isinstance(base, InferSpec):
        return ()
    epochs, samples = base.max_epochs, base.evaluation.every_samples
    return (
        (epochs is not None, "base.max_epochs", epochs, "given in place of max_steps, since a sweep counts epochs"),
        (samples is None, "base.evaluation.every_samples", samples, "left out, since a sweep counts epochs"),
    )


def _objectives(base: TrainSpec | InferSpec) -> tuple[tuple[Objective, ...], str]:
    """The objectives that a sweep over this base may have, and what the base is."""
    if isinstance(base, TrainSpec):
        return ("quality", "time_to_target", "examples_per_s"), "a training"
    if isinstance(base.scenario, SingleStream | MultiStream):
        return ("latency",), f"a measurement in {type(base.scenario).__name__}"
    return ("throughput",), f"a measurement in {type(base.scenario).__name__}"


def _ascending(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high) and low < high
