"""The result of an evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from tfperf import notebook
from tfperf.result.bottleneck import Bottleneck
from tfperf.result.energy import EnergyDomain, energy_lines
from tfperf.result.machine_use import MachineUse
from tfperf.result.measurement import SCHEMA, Measurement, Percentile

SteadinessVerdict = Literal["STEADY", "DRIFT", "LEVEL_SHIFT", "NO_STEADY_STATE", "TOO_SHORT"]


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
class Steadiness:
    """Whether a run was steady.

    Attributes:
        verdict: DRIFT and LEVEL_SHIFT have a `change`; NO_STEADY_STATE is a run that is neither of them nor at one
            level; TOO_SHORT is a run with fewer than 20 windows.
        change: relative change of an execution's time over the run after the crop: 0.08 is 8 % slower; None unless
            the verdict is DRIFT or LEVEL_SHIFT.
        at_s: when the level shifted, in seconds since the first execution ended; None unless it did.
        cropped_s: seconds of warm-up before the part that was judged.
        level: median of the windows after the crop; None if TOO_SHORT.
        windows: windows that were judged, after the crop.
        retraced: windows with a trace or compilation, which were left out.
        because: sentences for a reader, the verdict first, then what the machine did at that time.
    """

    verdict: SteadinessVerdict
    change: float | None
    at_s: float | None
    cropped_s: float
    level: float | None
    windows: int
    retraced: int
    because: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadPhase:
    """One load on an evaluated model, and how it answered.

    Attributes:
        phase: the phase, such as `concurrency`.
        load: the load, such as `4 streams` or `200 requests/s`.
        executable: the compiled form.
        batch_size: samples in a request.
        instances: requests that could be answered at the same time, on all devices and hosts.
        threads: CPU threads per operation; None for TensorFlow's own choice.
        device: where the model ran, as the spec names it.
        repeat: which repeat of the phases this is, from 1.
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
        mean_error_ns: its standard error, which allows for autocorrelation; None with too few requests.
        queue_ns: the mean wait for a free instance.
        service_ns: the mean time of the model, with that of the data.
        data_ns: the mean time of making the inputs of a request; None if they were in memory.
        busy: the share of the time in which instances computed, 0 to 1; None if unknown.
        lag_p99_ns: how late the issuer sent 99 % of the requests at most; None for streams, which have no schedule.
        not_finite: answers with NaN or an infinity.
        retraces: tracings and compilations during the phase.
        retraced_requests: requests in which there was one, or may have been. They are in no other number.
        memory_growth_bytes: how much more memory the process held at the end than at the start; None if unknown.
        steadiness: whether the model's time stayed at one level; None for a load that changes by itself.
        hosts: machines that sent and answered requests at the same time.
        span_ns: when the first request was sent and the last one answered, by the clock of `telemetry.jsonl`.
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
    mean_error_ns: float | None = None
    queue_ns: float | None = None
    service_ns: float | None = None
    data_ns: float | None = None
    busy: float | None = None
    lag_p99_ns: float | None = None
    not_finite: int = 0
    retraces: int = 0
    retraced_requests: int = 0
    memory_growth_bytes: int | None = None
    steadiness: Steadiness | None = None
    span_ns: tuple[int, ...] = ()
    threads: int | None = None
    device: str = "auto"
    repeat: int = 1
    hosts: int = 1
    notes: tuple[str, ...] = ()

    @property
    def samples_per_s(self) -> float:
        """Samples answered per second, all of them over the whole time."""
        return self.samples / self.duration_s if self.duration_s else 0.0

    @property
    def requests_per_s(self) -> float:
        """Requests answered per second."""
        return self.requests / self.duration_s if self.duration_s else 0.0

    @property
    def window(self) -> str:
        """The name of its window in `energy`, `use` and `bottlenecks`."""
        more = [
            *([f"{self.instances} instances"] if self.instances > 1 else []),
            *([f"{self.threads} threads"] if self.threads else []),
            *([self.device] if self.device != "auto" else []),
            *([f"repeat {self.repeat}"] if self.repeat > 1 else []),
        ]
        return ", ".join([self.phase, self.load, self.executable, f"batch {self.batch_size}", *more])

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
        threads: as in `LoadPhase`.
        device: as in `LoadPhase`.
        points: (requests per second, P99 latency in ns) by load, ascending.
        knee: the requests per second above which latency grows faster than throughput; None with too few points.
        knee_low: the lower end of its 95 % confidence interval.
        knee_high: the upper end.
        knee_by: whether the knee was fitted to loads with a `rate`, or is the best of several numbers of `streams`.
        bound_ns: the bound for P99.
        most_within_bound: the most requests per second whose P99 kept the bound; None if none did or there is no bound.
    """

    executable: str
    batch_size: int
    instances: int
    points: tuple[tuple[float, ...], ...]
    threads: int | None = None
    device: str = "auto"
    knee: float | None = None
    knee_low: float | None = None
    knee_high: float | None = None
    knee_by: Literal["rate", "streams"] | None = None
    bound_ns: float | None = None
    most_within_bound: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Consistency:
    """How much the repeats of a load differ.

    Attributes:
        phase: as in `LoadPhase`, like the next five.
        load: the load.
        executable: the compiled form.
        batch_size: samples in a request.
        instances: requests at the same time.
        threads: CPU threads per operation.
        device: where the model ran.
        metric: the name of the number that is compared.
        values: its value in each repeat.
        spread: the highest less the lowest, as a share of their mean.
        consistent: whether that is no more than a steady run may change.
    """

    phase: str
    load: str
    executable: str
    batch_size: int
    instances: int
    threads: int | None
    device: str
    metric: str
    values: tuple[float, ...]
    spread: float
    consistent: bool


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
        repeats: how much the repeats of each load differ; empty without repeats.
        measurements: further numbers.
        energy: the energy of each measured window, by domain.
        use: how each host was used during it.
        bottlenecks: what limited the run.
        notes: what a reader of the numbers should know.
        error: the class in `tfperf.errors` of what ended it early; empty if nothing did.
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
    repeats: tuple[Consistency, ...] = ()
    closed_eligible: bool = False
    closed_ineligible_because: tuple[str, ...] = ("An evaluation is internal.",)
    measurements: tuple[Measurement, ...] = ()
    energy: tuple[EnergyDomain, ...] = ()
    use: tuple[MachineUse, ...] = ()
    bottlenecks: tuple[Bottleneck, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
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
                ("energy", "\n".join(energy_lines(self.energy)) or None),
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
