"""What is asked for: the values a user may set, with their invariants."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any, Literal


class Division(str, enum.Enum):
    """How a run may be used: `closed` and `open` as MLPerf defines them, `internal` for everything else."""

    CLOSED = "closed"
    OPEN = "open"
    INTERNAL = "internal"

    def __str__(self) -> str:
        return self.value


DeviceKind = Literal["cpu", "gpu", "tpu"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Jit = Literal["auto", "on", "off"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """Processors to run on: `count` of one kind in this process; None takes all there are."""

    kind: DeviceKind
    count: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sgd:
    """SGD with momentum under a polynomial schedule with linear warm-up.

    Args:
        base_learning_rate: the rate at the end of the warm-up.
        decay_steps: steps after the warm-up until `end_learning_rate`; None runs to the last step of `max_epochs`.
        warmup_epochs: epochs of linear rise from 0.
        end_learning_rate: the rate at the end of the decay.
        decay_power: the exponent of the decay.
        momentum: of the velocity, which holds the learning rate: v = momentum * v - rate * gradient.
        weight_decay: coefficient c of c * sum(v^2) over the decayed variables, so the gradient is 2 * c * v: the
            convention of the TF2 reference (mlcommons/training, resnet-tf2).
    """

    base_learning_rate: float
    decay_steps: int | None = None
    warmup_epochs: int = 0
    end_learning_rate: float = 1e-4
    decay_power: float = 2.0
    momentum: float = 0.9
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _require(*_rate_checks(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lars:
    """LARS (arXiv:1708.03888) as the MLPerf reference defines it, under the same schedule as `Sgd`.

    Args:
        base_learning_rate: the rate at the end of the warm-up.
        decay_steps: as in `Sgd`.
        warmup_epochs: as in `Sgd`.
        end_learning_rate: as in `Sgd`.
        decay_power: as in `Sgd`.
        momentum: as in `Sgd`.
        weight_decay: coefficient inside the trust ratio; skipped, with the ratio, for biases and batch normalisation.
        epsilon: added to the denominator of the trust ratio.
    """

    base_learning_rate: float
    decay_steps: int | None = None
    warmup_epochs: int = 5
    end_learning_rate: float = 1e-4
    decay_power: float = 2.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        _require(*_rate_checks(self), (self.epsilon >= 0, "epsilon", self.epsilon, "0 or more"))


Optimizer = Sgd | Lars


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shapes:
    """The embedded data: scenes drawn by program, generated once into the data directory or a per-user cache.

    Args:
        train_examples: scenes in the training split.
        eval_examples: scenes in the validation split.
    """

    train_examples: int = 4096
    eval_examples: int = 1024

    def __post_init__(self) -> None:
        _require(
            (self.train_examples > 0, "train_examples", self.train_examples, "1 or more"),
            (self.eval_examples > 0, "eval_examples", self.eval_examples, "1 or more"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfRecords:
    """ImageNet TFRecords in the reference's layout: `train-00000-of-01024`, `validation-00000-of-00128`.

    Args:
        train_shards: number of training files.
        eval_shards: number of validation files.
    """

    train_shards: int = 1024
    eval_shards: int = 128

    def __post_init__(self) -> None:
        _require(
            (self.train_shards > 0, "train_shards", self.train_shards, "1 or more"),
            (self.eval_shards > 0, "eval_shards", self.eval_shards, "1 or more"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds:
    """A TensorFlow Datasets image classification set that was prepared in the data directory.

    Args:
        name: such as `imagenet2012` or `imagenet2012:5.1.0`.
        train_split: TFDS split of the training examples.
        eval_split: TFDS split of the held-out examples.
    """

    name: str = "imagenet2012"
    train_split: str = "train"
    eval_split: str = "validation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """JPEG photographs in class folders (`train/CLASS/x.jpg`, `val/CLASS/y.jpg`) or listed in a csv file.

    Args:
        labels: file with the columns path, class, split, relative to the data directory. Class folders are read
            where it does not exist.
    """

    labels: str = "labels.csv"


Source = Shapes | TfRecords | Tfds | Folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Where examples come from.

    Args:
        source: one of the sources.
        skip_corrupt: corrupt images that an open or internal run may leave out before it fails. Each is named.
    """

    source: Source
    skip_corrupt: int = 0

    def __post_init__(self) -> None:
        _require((self.skip_corrupt >= 0, "skip_corrupt", self.skip_corrupt, "0 or more"))


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
        _require(
            (self.every_epochs > 0, "every_epochs", self.every_epochs, "1 or more"),
            (0 <= self.offset < max(self.every_epochs, 1), "offset", self.offset, f"0 to {self.every_epochs - 1}"),
        )

    def due(self, epoch: int, *, max_epochs: int) -> bool:
        """Whether epoch number `epoch`, counted from 1, ends with an evaluation."""
        return epoch % self.every_epochs == self.offset or epoch == max_epochs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission:
    """Who ran it on what, as the log states it.

    Args:
        org: the submitting organisation.
        platform: the system's name; None names the machine's processor or accelerators.
        status: where the system stands.
    """

    org: str = "unspecified"
    platform: str | None = None
    status: Literal["cloud", "onprem", "preview", "research"] = "research"

    def __post_init__(self) -> None:
        _require((bool(self.org.strip()), "org", self.org, "a name"))


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
        _require(
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleStream:
    """One sample at a time, the next one when it is answered: the metric is the 90th percentile of the latency."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiStream:
    """Several samples at a time, the next ones when all are answered: the metric is the 99th percentile of the latency.

    Args:
        samples_per_query: samples that arrive together; the rules say 8.
    """

    samples_per_query: int = 8

    def __post_init__(self) -> None:
        _require((self.samples_per_query > 0, "samples_per_query", self.samples_per_query, "1 or more"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """Samples that arrive one by one at random: the metric is the rate at which 99 % are answered within the bound.

    Args:
        target_qps: samples a second, as a Poisson process; `auto` searches for the largest valid rate.
        latency_bound_ms: in open and internal runs, in place of the benchmark's.
    """

    target_qps: float | Literal["auto"] = "auto"
    latency_bound_ms: float | None = None

    def __post_init__(self) -> None:
        rate, bound = self.target_qps, self.latency_bound_ms
        _require(
            (rate == "auto" or (math.isfinite(rate) and rate > 0), "target_qps", rate, "more than 0, or auto"),
            (bound is None or (math.isfinite(bound) and bound > 0), "latency_bound_ms", bound, "more than 0, or null"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offline:
    """All samples at once: the metric is samples a second."""


Scenario = SingleStream | MultiStream | Server | Offline

Executable = Literal[
    "auto",
    "function-float32",
    "xla-float32",
    "xla-bfloat16",
    "xla-float16",
    "graph-float32",
    "graph-bfloat16",
    "graph-float16",
    "litert-float32",
    "litert-int8",
]


_INSTANCES = "1 or more in Server and Offline, and 1 in SingleStream and MultiStream, which answer one query at a time"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferSpec:
    """One inference measurement, complete: with the code version, the weights and the data it repeats it.

    Args:
        benchmark: name of a benchmark, or the dotted path of a module that holds one.
        division: see `Division`.
        scenario: how samples arrive, by LoadGen's rules.
        data: where samples come from.
        model: the benchmark's own options, a dataclass; None takes the benchmark's.
        executable: the compiled form of the model; `auto` measures them and takes the fastest that is accurate enough.
        batch_sizes: the batch sizes that the model is compiled for, ascending; None takes those of the scenario.
        instances: of the executable, each in a thread of its own, that work on different batches at the same time; more
            than 1 in Server and Offline only.
        threads: of one operation on the CPU; None shares the processors that this process may use among the instances.
        min_duration_s: the least time that LoadGen measures.
        min_queries: the least number of queries, in Offline of samples; None takes the rules'.
        performance_samples: samples in memory during the measurement; None takes the benchmark's.
        accuracy: whether the accuracy is measured too, on the whole evaluation set.
        quality_target: in open and internal runs, in place of the benchmark's.
        submission: who ran it on what.
    """

    benchmark: str
    division: Division
    scenario: Scenario
    data: Data
    model: Any = None
    executable: Executable = "auto"
    batch_sizes: tuple[int, ...] | None = None
    instances: int = 1
    threads: int | None = None
    min_duration_s: float = 600.0
    min_queries: int | None = None
    performance_samples: int | None = None
    accuracy: bool = True
    quality_target: float | None = None
    submission: Submission = dataclasses.field(default_factory=Submission)

    def __post_init__(self) -> None:
        sizes, target, duration = self.batch_sizes, self.quality_target, self.min_duration_s
        counts = [(name, getattr(self, name)) for name in ("threads", "min_queries", "performance_samples")]
        several = self.instances > 1 and not isinstance(self.scenario, SingleStream | MultiStream)
        ascending = sizes is None or (bool(sizes) and sizes[0] > 0 and list(sizes) == sorted(set(sizes)))
        _require(
            (math.isfinite(duration) and duration > 0, "min_duration_s", duration, "more than 0"),
            (ascending, "batch_sizes", sizes, "whole numbers above 0, ascending, or null"),
            *((value is None or value > 0, name, value, "1 or more, or null") for name, value in counts),
            (target is None or math.isfinite(target), "quality_target", target, "a number, or null"),
            (self.instances == 1 or several, "instances", self.instances, _INSTANCES),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One of `values`, of any kind that the field takes."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        distinct = [value for i, value in enumerate(self.values) if value not in self.values[:i]]
        _require((len(distinct) == len(self.values) > 0, "choice", list(self.values), "one or more different values"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Uniform:
    """A number from `low` to `high`, each as likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require((_ascending(self.low, self.high), "uniform", [self.low, self.high], "[low, high] with low < high"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogUniform:
    """A number from `low` to `high`, each order of magnitude as likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        holds = _ascending(self.low, self.high) and self.low > 0
        _require((holds, "log_uniform", [self.low, self.high], "[low, high] with 0 < low < high"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Integers:
    """A whole number from `low` to `high`, `step` apart."""

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        holds = self.low < self.high and self.step > 0
        accepted = "[low, high] or [low, high, step] with low < high and step 1 or more"
        _require((holds, "integers", [self.low, self.high, self.step], accepted))


Range = Choice | Uniform | LogUniform | Integers


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """The median stopping rule: a trial ends whose best quality is below the median of what others had on average.

    From D. Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.1.

    Args:
        after_epochs: epochs that each trial is given.
        after_trials: trials that must have ended before one is judged by them.
    """

    after_epochs: int = 1
    after_trials: int = 3

    def __post_init__(self) -> None:
        _require(
            (self.after_epochs > 0, "after_epochs", self.after_epochs, "1 or more"),
            (self.after_trials > 0, "after_trials", self.after_trials, "1 or more"),
        )


Objective = Literal["quality", "time_to_target", "examples_per_s", "throughput", "latency"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSpec:
    """One sweep, complete: which fields of a run are varied, how, and what for. It is always internal.

    Args:
        base: the run whose fields are varied; its own values are the default that the best trial is held to.
        space: (dotted field of `base`, its range) pairs.
        objective: of training `quality` after `max_epochs`, `time_to_target` in seconds, or `examples_per_s`; of
            serving LoadGen's own metric, which is `throughput` in samples/s or, in the streams, `latency` in ms.
        search: keras-tuner's RandomSearch, BayesianOptimization, Hyperband or GridSearch.
        max_trials: trials at most; Hyperband plans its own number and ends earlier where that is smaller.
        seed: of the search and, with the values of a trial, of a trial that trains.
        early_stopping: when a hopeless training ends; None lets every trial go on. Not for `examples_per_s`.
        repeats: runs in which the best trial and the default are compared in the end; 0 leaves that out.
        trial_limit_s: seconds after which a trial is given up as failed; None waits.
        division: `internal`, and nothing else.
    """

    base: TrainSpec | InferSpec
    space: tuple[tuple[str, Range], ...]
    objective: Objective
    search: Literal["random", "bayesian", "hyperband", "grid"]
    max_trials: int
    seed: int = 1
    early_stopping: EarlyStopping | None = dataclasses.field(default_factory=EarlyStopping)
    repeats: int = 3
    trial_limit_s: float | None = None
    division: Division = Division.INTERNAL

    def __post_init__(self) -> None:
        limit, division = self.trial_limit_s, str(self.division)
        objectives, of_base = _objectives(self.base)
        serves = isinstance(self.base, InferSpec)
        _require(
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
            (self.max_trials > 0, "max_trials", self.max_trials, "1 or more"),
            (0 < self.seed < 2**31, "seed", self.seed, "1 to 2147483647"),
            (self.repeats == 0 or self.repeats > 1, "repeats", self.repeats, "2 or more, or 0"),
            (limit is None or limit > 0, "trial_limit_s", limit, "more than 0, or null"),
            (division == "internal", "division", division, "internal, which may be left out: a sweep is no result"),
        )


def _objectives(base: TrainSpec | InferSpec) -> tuple[tuple[Objective, ...], str]:
    """What a sweep over this base may be for, and what that base is."""
    if isinstance(base, TrainSpec):
        return ("quality", "time_to_target", "examples_per_s"), "a training"
    if isinstance(base.scenario, SingleStream | MultiStream):
        return ("latency",), f"a measurement in {type(base.scenario).__name__}"
    return ("throughput",), f"a measurement in {type(base.scenario).__name__}"


def _ascending(low: float, high: float) -> bool:
    return math.isfinite(low) and math.isfinite(high) and low < high


def _rate_checks(optimizer: Sgd | Lars) -> list[tuple[bool, str, object, str]]:
    rates = [(name, getattr(optimizer, name)) for name in ("base_learning_rate", "end_learning_rate", "weight_decay")]
    steps = optimizer.decay_steps
    return [
        *((math.isfinite(value) and value >= 0, name, value, "0 or more") for name, value in rates),
        (0 <= optimizer.momentum < 1, "momentum", optimizer.momentum, "0 to below 1"),
        (optimizer.warmup_epochs >= 0, "warmup_epochs", optimizer.warmup_epochs, "0 or more"),
        (optimizer.decay_power > 0, "decay_power", optimizer.decay_power, "more than 0"),
        (steps is None or steps > 0, "decay_steps", steps, "1 or more, or null"),
    ]


def _require(*checks: tuple[bool, str, object, str]) -> None:
    """Raises one ValueError with a line for every (holds, name, received, accepted) that does not hold."""
    failures = [f"{name} must be {accepted}, got {value!r}." for holds, name, value, accepted in checks if not holds]
    if failures:
        raise ValueError("\n".join(failures))
