"""One LoadGen run as a value: the model that is served, the settings, and the outcome."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from tfperf.benchmarks.benchmark import Respond
from tfperf.benchmarks.tensor import Sample
from tfperf.inference.archive import Archive
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.recording import Recording

ScenarioName = Literal["SingleStream", "MultiStream", "Server", "Offline"]
Mode = Literal["performance", "accuracy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """LoadGen's settings. Its own `mlperf.conf` sets the seeds, those of the round that its version belongs to.

    Attributes:
        loadgen_model: the model's name in `mlperf.conf`.
        scenario: LoadGen's name for the scenario.
        mode: performance or accuracy.
        min_duration_s: the shortest time to measure.
        performance_samples: samples in memory during the measurement.
        min_queries: the smallest number of queries, or of samples in Offline; None keeps the value in `mlperf.conf`.
        samples_per_query: samples in each MultiStream query.
        target_qps: the rate in Server; None in other scenarios.
        latency_bound_ns: the latency bound in Server; None keeps the value in `mlperf.conf`.
        expected_latency_ns: the expected latency of a query in SingleStream and MultiStream; None takes it from the
            warm-up.
        expected_qps: the expected samples per second in Offline; None takes it from the warm-up.
        audit_config: the text of a compliance test's `audit.config`; None runs without one.
        seeds: of the samples in memory, of their order and of the arrival times; None keeps those in `mlperf.conf`.
    """

    loadgen_model: str
    scenario: ScenarioName
    mode: Mode
    min_duration_s: float
    performance_samples: int
    min_queries: int | None = None
    samples_per_query: int = 8
    target_qps: float | None = None
    latency_bound_ns: int | None = None
    expected_latency_ns: float | None = None
    expected_qps: float | None = None
    audit_config: str | None = None
    seeds: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model that is ready to be served, and its samples.

    Attributes:
        executable: the compiled model.
        total: samples in the evaluation set.
        load: sample numbers -> these samples, each with one array for each input of the executable.
        respond: turns outputs into responses.
        copies: more instances of the model. Offline and Server run all instances at the same time, each in a thread.
        processor: the processor that computes: `cpu` or `gpu`, and its name; None if unknown.
    """

    executable: Executable
    total: int
    load: Callable[[Sequence[int]], Sequence[Sample]]
    respond: Respond
    copies: tuple[Executable, ...] = ()
    processor: tuple[str, str] | None = None

    @property
    def instances(self) -> tuple[Executable, ...]:
        """The model and its copies."""
        return self.executable, *self.copies

    def traces(self) -> int:
        """Tracings and compilations by all instances so far."""
        return sum(instance.traces() for instance in self.instances)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One LoadGen run.

    Attributes:
        settings: LoadGen's settings.
        open: called in the child process, so it must be picklable: a function of a module, or a partial of one.
        log_dir: gets LoadGen's logs; created if missing.
        stuck_after_s: a run is stuck when a query waits and nothing is answered for this many seconds; None takes a
            multiple of the slowest execution so far, at least 30 s (300 s on a GPU), and half an hour while the process
            computes.
        most_late: a Server run is abandoned once more queries than this exceed the latency bound; None never abandons.
        memory_limit_bytes: limits the child's resident memory; None takes 90 % of the memory available at its start.
        environment: environment variables to add in the child process, before TensorFlow starts there.
    """

    settings: Settings
    open: Callable[[], ServedModel]
    log_dir: pathlib.Path
    stuck_after_s: float | None = None
    most_late: int | None = None
    memory_limit_bytes: int | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunProgress:
    """How far a run has come, reported several times a second.

    Attributes:
        phase: what the child is doing: `opening`, `loading samples`, `warming up`, `measuring`, `ending`.
        elapsed_s: seconds since the measurement began; 0 before.
        queries: queries answered.
        samples: samples answered.
        rate: samples per second over about the last second.
        p99_ns: 99th percentile of the latest latencies, as the SUT sees them; None if there are too few, and in
            Offline, where all samples are issued at once.
        fraction: share of the samples that are loaded, while loading.
        least_queries: queries that LoadGen issues at least; None before it is known, and in Offline, which has one.
    """

    phase: str
    elapsed_s: float = 0.0
    queries: int = 0
    samples: int = 0
    rate: float = 0.0
    p99_ns: float | None = None
    fraction: float | None = None
    least_queries: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadgenOutcome:
    """How a LoadGen run ended, and what was recorded.

    Attributes:
        status: `ended` when LoadGen finished and nothing failed; `failed` with a traceback from the child; `stuck`
            when a query was never answered; `killed` when a signal killed the child; `leaked` when its memory passed
            the limit; `abandoned` when too many queries were late; `interrupted` by Ctrl-C.
        failure: the reason, with the last lines of a traceback if there is one; empty when the run ended.
        log_dir: LoadGen's logs, complete only when the run ended.
        recording: what the SUT recorded, up to the end or the failure; only the last rows, if there were too many.
        archive: then, what the rows of the whole run were; None if the recording has them all.
        settings: the job's settings, completed with what the warm-up found.
        execution_ns: median time of one execution by bucket, from the warm-up.
        length_shares: share of the samples that run at each length, from the warm-up; {None: 1.0} where samples have
            no length.
        processor: the processor that computed, as in `ServedModel`.
        retraces: tracings and compilations during the measurement; must be 0.
        memory_start_bytes: the child's resident memory when the measurement began, without shared memory such as the
            recording.
        memory_end_bytes: the same when the measurement ended.
        other_cpu_s: processor time that unrelated processes used during the measurement, at least 0, estimated from
            readings near its beginning and its end; None if the system doesn't report it or the run was too short to
            read it twice.
        measured_s: seconds from the first query to the last answer.
        span_ns: these two moments, by `time.perf_counter_ns`; None if nothing was answered.
        notes: what a reader should know about a run that ended, such as a limit set by memory.
    """

    status: Literal["ended", "failed", "stuck", "killed", "leaked", "abandoned", "interrupted"]
    failure: str
    log_dir: pathlib.Path
    recording: Recording
    settings: Settings
    execution_ns: Mapping[Bucket, float]
    length_shares: Mapping[int | None, float] = dataclasses.field(default_factory=dict)
    processor: tuple[str, str] | None = None
    retraces: int = 0
    memory_start_bytes: int | None = None
    memory_end_bytes: int | None = None
    other_cpu_s: float | None = None
    measured_s: float = 0.0
    span_ns: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    archive: Archive | None = None

    @property
    def other_cpu_share(self) -> float | None:
        """The share of the machine's processor time that other processes took during the run; None if unknown."""
        if self.other_cpu_s is None or not self.measured_s:
            return None
        return self.other_cpu_s / (self.measured_s * (os.cpu_count() or 1))
