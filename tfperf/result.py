"""The results of runs, as values that are written to and read from `result.json`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

from tfperf import field_types, json_text, notebook, whole_file

SCHEMA = 1
# The reason why a run without a target is not valid, although nothing failed.
TIMED_ONLY = "no target was set: this run is timed only"
# How the reason begins if training ran to its end without reaching the target.
MISSED = "the target was missed"
# The reason why a trial that was not trained to a target is not valid, although nothing failed.
UNTARGETED_TRIAL = "a trial of a sweep, not trained to the target"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """One measured number, with its unit."""

    name: str
    value: float
    unit: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """The quality of a model.

    Attributes:
        metric: the name of the metric.
        value: its value at the last evaluation; None without an evaluation.
        target: the target for `value`; None if there is none.
        reached: whether `value` reached the target. False without a target.
        mode: `max` if higher is better, `min` if lower is better.
    """

    metric: str
    value: float | None
    target: float | None
    reached: bool
    mode: Literal["max", "min"] = "max"


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
                ("notes", "\n".join(self.notes) or None),
            ),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Percentile:
    """A latency percentile of one run, with a 95 % confidence interval that allows for autocorrelation."""

    percentile: float
    value_ns: float
    low_ns: float | None
    high_ns: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A compiled form that was considered.

    Attributes:
        executable: the form.
        status: `chosen`, `measured`, `inaccurate` or `unavailable`.
        reason: why it was not chosen; empty for the chosen one.
        latency_ns: median time of one execution by bucket: a batch size such as `8`, with a length as `8x384`.
        agreement: how well its responses to the calibration samples agree with those of float32, 0 to 1.
        quality: its quality on the calibration samples.
        memory_bytes: peak resident memory while it was built and measured.
    """

    executable: str
    status: Literal["chosen", "measured", "inaccurate", "unavailable"]
    reason: str = ""
    latency_ns: Mapping[str, float] = dataclasses.field(default_factory=dict)
    agreement: float | None = None
    quality: float | None = None
    memory_bytes: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """One run in the search for the highest Server rate.

    Attributes:
        target_qps: the rate.
        valid: whether LoadGen says VALID and nothing failed.
        p99_ns: LoadGen's 99th latency percentile; None if the run was ended early.
        duration_s: how long it took.
        reason: why it is not valid.
        stage: `short`, or `full` for a run as long as a result needs.
    """

    target_qps: float
    valid: bool
    p99_ns: float | None
    duration_s: float
    reason: str = ""
    stage: Literal["short", "full"] = "short"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferResult:
    """The result of an inference measurement.

    Attributes:
        benchmark: the benchmark's name.
        division: closed, open or internal.
        valid: whether `metric` may be quoted: LoadGen says VALID, nothing failed and the accuracy reached its target.
        reasons: why the result is not valid; empty if it is.
        closed_eligible: whether the result follows every rule of the closed division that tfperf can check.
        closed_ineligible_because: the broken rules.
        status: `success`, `invalid`, `failed` or `incomplete`.
        config: the resolved spec.
        environment: the machine and the software.
        scenario: LoadGen's name for it.
        metric: LoadGen's own metric; None if the run did not end.
        loadgen: the result_* and effective_* values of LoadGen's detail log, unchanged.
        latency_ns: LoadGen's latency percentiles p50, p90, p95, p99 and p99_9.
        accuracy: accuracy over the whole evaluation set; None if it was not measured.
        executable: the compiled form that was served.
        batch_sizes: the batch sizes that it was compiled for.
        threads: CPU threads per operation of one instance; None if none was opened.
        instances: instances that were served; None if none was opened.
        candidates: every form that was considered.
        percentiles: tfperf's own percentiles of the latency that the SUT saw.
        batches: executed size -> executions: a batch size with padding such as `8`, with a length as `8x384`.
        search: the probes for the highest Server rate.
        audits: compliance test -> whether it passed, and how.
        measurements: further numbers.
        weights: the source of the weights, with their digest.
        notes: what a reader of the numbers should know.
    """

    benchmark: str
    division: str
    valid: bool
    reasons: tuple[str, ...]
    closed_eligible: bool
    closed_ineligible_because: tuple[str, ...]
    status: Literal["success", "invalid", "failed", "incomplete"]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    scenario: str
    metric: Measurement | None
    loadgen: Mapping[str, Any]
    latency_ns: Mapping[str, float]
    accuracy: Quality | None
    executable: str | None
    batch_sizes: tuple[int, ...] = ()
    threads: int | None = None
    instances: int | None = None
    candidates: tuple[Candidate, ...] = ()
    percentiles: tuple[Percentile, ...] = ()
    batches: Mapping[str, int] = dataclasses.field(default_factory=dict)
    search: tuple[Probe, ...] = ()
    audits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kind: Literal["infer"] = "infer"
    schema: int = SCHEMA

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        metric, accuracy = self.metric, self.accuracy
        return notebook.shown(
            f"{self.benchmark}, {self.scenario}, {self.division}: {self.status}",
            reasons=self.reasons,
            rows=(
                *(() if metric is None else ((f"{metric.name} ({metric.unit})", metric.value),)),
                *((f"latency {name} (ms)", value / 1e6) for name, value in self.latency_ns.items()),
                *(() if accuracy is None else ((accuracy.metric, accuracy.value), ("target", accuracy.target))),
                ("executable", self.executable),
                ("notes", "\n".join(self.notes) or None),
            ),
        )


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """The quality of one compiled form of an evaluated model, on the whole data.

    Attributes:
        executable: the form.
        values: the metrics by name; empty if there are no labels or no metrics.
        examples: how many examples it answered.
        difference: the largest difference of its outputs from those of the model as given, as a share of the largest
            output; None for the model as given.
        not_finite: answers with NaN or an infinity.
        accurate: whether no metric lost more than the spec allows.
        reason: why it is not accurate.
    """

    executable: str
    values: Mapping[str, float]
    examples: int
    difference: float | None = None
    not_finite: int = 0
    accurate: bool = True
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadPhase:
    """One load on an evaluated model, and how it answered.

    Attributes:
        phase: the phase, such as `concurrency`.
        load: the load, such as `4 streams` or `200 requests/s`.
        executable: the compiled form.
        batch_size: samples in a request.
        instances: requests that could be answered at the same time.
        issuer: whether `loadgen` or tfperf's own issuer sent the requests.
        valid: whether its numbers may be quoted.
        reasons: why not.
        status: `ended`, `failed`, `hung` or `interrupted`.
        started_s: seconds from the start of the evaluation.
        duration_s: from the first request to the last answer.
        requests: requests that were answered.
        samples: samples in them.
        offered_per_s: requests per second that the schedule asked for; None for streams.
        metric: the number that stands for the phase.
        percentiles: of the latency, counted from the schedule; only those that the number of requests supports.
        mean_ns: the mean latency.
        queue_ns: the mean wait for a free instance.
        service_ns: the mean time of the model, with that of the data.
        data_ns: the mean time of making the inputs of a request; None if they were in memory.
        lag_p99_ns: how late the issuer sent 99 % of the requests at most; None for streams, which have no schedule.
        not_finite: answers with NaN or an infinity.
        retraces: tracings during the phase.
        notes: what a reader of the numbers should know.
    """

    phase: str
    load: str
    executable: str
    batch_size: int
    instances: int
    issuer: Literal["loadgen", "tfperf"]
    valid: bool
    reasons: tuple[str, ...]
    status: Literal["ended", "failed", "hung", "interrupted"]
    started_s: float
    duration_s: float
    requests: int
    samples: int
    offered_per_s: float | None = None
    metric: Measurement | None = None
    percentiles: tuple[Percentile, ...] = ()
    mean_ns: float | None = None
    queue_ns: float | None = None
    service_ns: float | None = None
    data_ns: float | None = None
    lag_p99_ns: float | None = None
    not_finite: int = 0
    retraces: int = 0
    notes: tuple[str, ...] = ()

    @property
    def samples_per_s(self) -> float:
        """Samples answered per second, all of them over the whole time."""
        return self.samples / self.duration_s if self.duration_s else 0.0

    @property
    def requests_per_s(self) -> float:
        """Requests answered per second."""
        return self.requests / self.duration_s if self.duration_s else 0.0

    def latency_ns(self, percentile: float) -> float | None:
        """A percentile of the latency; None if there are too few requests for it."""
        return next((each.value_ns for each in self.percentiles if each.percentile == percentile), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadCurve:
    """Latency over throughput of one combination, from all its loads.

    Attributes:
        executable: the compiled form.
        batch_size: samples in a request.
        instances: requests at the same time.
        points: (requests per second, P99 latency in ns or None) by load, ascending.
        knee: the requests per second above which latency grows faster than throughput; None with too few points.
        bound_ns: the bound for P99.
        most_within_bound: the most requests per second whose P99 kept the bound; None if none did or there is no bound.
    """

    executable: str
    batch_size: int
    instances: int
    points: tuple[tuple[float, ...], ...]
    knee: float | None = None
    bound_ns: float | None = None
    most_within_bound: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """The result of an evaluation. It is internal: nothing in it is a result by MLPerf's rules.

    Attributes:
        benchmark: the model's name.
        valid: whether every number may be quoted.
        reasons: why not.
        status: `success`, `invalid`, `failed` or `incomplete`.
        config: the resolved spec.
        environment: the machine and the software.
        measured: `model` or `pipeline`.
        judged: the quality of each executable.
        phases: the loads in the order in which they were measured.
        curves: latency over throughput.
        measurements: further numbers.
        notes: what a reader of the numbers should know.
    """

    benchmark: str
    valid: bool
    reasons: tuple[str, ...]
    status: Literal["success", "invalid", "failed", "incomplete"]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    measured: Literal["model", "pipeline"]
    judged: tuple[Judged, ...] = ()
    phases: tuple[LoadPhase, ...] = ()
    curves: tuple[LoadCurve, ...] = ()
    closed_eligible: bool = False
    closed_ineligible_because: tuple[str, ...] = ("An evaluation is internal.",)
    measurements: tuple[Measurement, ...] = ()
    notes: tuple[str, ...] = ()
    division: Literal["internal"] = "internal"
    kind: Literal["evaluate"] = "evaluate"
    schema: int = SCHEMA

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.shown(
            f"evaluation of {self.benchmark}, {self.division}: {self.status}",
            reasons=self.reasons,
            rows=(
                *((f"{each.executable}: {name}", value) for each in self.judged for name, value in each.values.items()),
                *(
                    (
                        f"{each.phase}, {each.load}, {each.executable}, batch {each.batch_size}",
                        _shown_metric(each),
                    )
                    for each in self.phases
                ),
                ("notes", "\n".join(self.notes) or None),
            ),
        )


def _shown_metric(phase: LoadPhase) -> str | None:
    if phase.metric is None:
        return None
    value, unit = (
        (phase.metric.value / 1e6, "ms") if phase.metric.unit == "ns" else (phase.metric.value, phase.metric.unit)
    )
    return f"{value:,.4g} {unit}"


Result = TrainResult | InferResult | SweepResult | EvaluateResult


def write(path: pathlib.Path, result: Result) -> None:
    """Writes the result as JSON, atomically."""
    whole_file.write(path, json.dumps(as_dict(result), indent=2, allow_nan=False) + "\n")


def as_dict(result: Result) -> dict[str, Any]:
    """The result as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))
    return plain


def read(path: pathlib.Path) -> Result:
    """Reads what `write` wrote.

    Raises:
        ValueError: the file is not a result of this schema.
    """
    return parse(path.read_text(encoding="utf-8"), source=str(path))


def parse(content: str, *, source: str) -> Result:
    """The result in `content`.

    Args:
        content: the text of a `result.json`.
        source: its name in messages.

    Raises:
        ValueError: it is not a result of this schema.
    """
    fields = json_text.parse(content)
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA or str(fields.get("kind")) not in _READERS:
        raise ValueError(f"{source} is not a tfperf result of schema {SCHEMA}.")
    try:
        fields["measurements"] = tuple(Measurement(**measurement) for measurement in fields["measurements"])
        for name in ("reasons", "closed_ineligible_because"):
            fields[name] = tuple(fields[name])
        found = _READERS[fields["kind"]](fields)
        field_types.check(found)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{source} was not written by tfperf: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{source} was not written by tfperf: {error}") from error
    return found


def _train_result(fields: dict[str, Any]) -> TrainResult:
    fields["quality"] = Quality(**fields["quality"])
    for name in ("skipped_examples", "notes"):
        fields[name] = tuple(fields.get(name, ()))
    return TrainResult(**fields)


def _infer_result(fields: dict[str, Any]) -> InferResult:
    fields["metric"] = None if fields["metric"] is None else Measurement(**fields["metric"])
    fields["accuracy"] = None if fields["accuracy"] is None else Quality(**fields["accuracy"])
    for name in ("batch_sizes", "notes"):
        fields[name] = tuple(fields[name])
    for name, kind in (("candidates", Candidate), ("percentiles", Percentile), ("search", Probe)):
        fields[name] = tuple(kind(**value) for value in fields[name])
    return InferResult(**fields)


def _sweep_result(fields: dict[str, Any]) -> SweepResult:
    fields["trials"] = tuple(SweepTrial(**trial) for trial in fields["trials"])
    fields["notes"] = tuple(fields["notes"])
    if fields["comparison"] is not None:
        compared = fields["comparison"]
        fields["comparison"] = Comparison(
            **{**compared, "default": tuple(compared["default"]), "best": tuple(compared["best"])}
        )
    return SweepResult(**fields)


def _evaluate_result(fields: dict[str, Any]) -> EvaluateResult:
    fields["notes"] = tuple(fields["notes"])
    fields["judged"] = tuple(Judged(**each) for each in fields["judged"])
    fields["phases"] = tuple(_load_phase(each) for each in fields["phases"])
    fields["curves"] = tuple(
        LoadCurve(**{**each, "points": tuple(tuple(point) for point in each["points"])}) for each in fields["curves"]
    )
    return EvaluateResult(**fields)


def _load_phase(fields: dict[str, Any]) -> LoadPhase:
    metric = fields["metric"]
    return LoadPhase(
        **{
            **fields,
            "metric": None if metric is None else Measurement(**metric),
            "percentiles": tuple(Percentile(**each) for each in fields["percentiles"]),
            "reasons": tuple(fields["reasons"]),
            "notes": tuple(fields["notes"]),
        }
    )


_READERS: Mapping[str, Callable[[dict[str, Any]], Result]] = {
    "train": _train_result,
    "infer": _infer_result,
    "sweep": _sweep_result,
    "evaluate": _evaluate_result,
}
