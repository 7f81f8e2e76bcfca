"""The result of a serving run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from tfperf import notebook
from tfperf.result.bottleneck import Bottleneck
from tfperf.result.energy import EnergyDomain, energy_lines
from tfperf.result.machine_use import MachineUse
from tfperf.result.measurement import SCHEMA, Measurement, Percentile, Quality


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
    energy: tuple[EnergyDomain, ...] = ()
    use: tuple[MachineUse, ...] = ()
    bottlenecks: tuple[Bottleneck, ...] = ()
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
                ("energy", "\n".join(energy_lines(self.energy)) or None),
                ("notes", "\n".join(self.notes) or None),
            ),
        )
