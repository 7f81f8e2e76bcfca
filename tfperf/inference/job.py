"""One LoadGen run as a value: what is served, under which settings, and how it came out."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from tfperf.benchmarks.benchmark import Respond
from tfperf.benchmarks.tensor import Sample
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.recording import Recording

ScenarioName = Literal["SingleStream", "MultiStream", "Server", "Offline"]
Mode = Literal["performance", "accuracy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What LoadGen is told. Seeds are those of its own `mlperf.conf`, so of the round that its version belongs to.

    Attributes:
        loadgen_model: the model's name in `mlperf.conf`.
        scenario: LoadGen's name of the scenario.
        mode: performance or accuracy.
        min_duration_s: the least time to measure.
        performance_samples: samples loaded at once.
        min_queries: the least number of queries, in Offline of samples; None leaves what `mlperf.conf` says.
        samples_per_query: of MultiStream.
        target_qps: of Server.
        latency_bound_ns: of Server; None leaves what `mlperf.conf` says.
        expected_latency_ns: of a query in SingleStream and MultiStream; None takes it from the warm-up.
        expected_qps: of Offline; None takes it from the warm-up.
        audit_config: the text of an `audit.config` of a compliance test; None runs without.
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """What the child process serves.

    Attributes:
        executable: the model.
        total: samples in the evaluation set.
        load: sample numbers -> these samples, each with one array for each input of the executable.
        respond: how outputs become responses.
        copies: of the model, which run at the same time in threads of their own, where the scenario has use for them.
    """

    executable: Executable
    total: int
    load: Callable[[Sequence[int]], Sequence[Sample]]
    respond: Respond
    copies: tuple[Executable, ...] = ()

    @property
    def instances(self) -> tuple[Executable, ...]:
        """The model and its copies."""
        return self.executable, *self.copies

    def traces(self) -> int:
        """Tracings and compilations of all instances so far."""
        return sum(instance.traces() for instance in self.instances)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One LoadGen run.

    Attributes:
        settings: what LoadGen is told.
        open: called in the child process, so it must be picklable: a function of a module, or a partial of one.
        log_dir: gets LoadGen's logs; made when it is not there.
        stuck_after_s: seconds without an answer to a waiting query until the run counts as stuck; None takes a
            multiple of the measured execution time, at least 30 s.
        most_late: queries over the latency bound at which a run of Server is ended as hopeless; None lets it go on.
        memory_limit_bytes: of the child's resident memory; None takes 90 % of what was available at its start.
        environment: variables of the child process, over those of this one: what TensorFlow reads when it starts.
    """

    settings: Settings
    open: Callable[[], Served]
    log_dir: pathlib.Path
    stuck_after_s: float | None = None
    most_late: int | None = None
    memory_limit_bytes: int | None = None
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
    """The state of a run, several times a second.

    Attributes:
        phase: what the child is doing: `opening`, `loading samples`, `warming up`, `measuring`, `ending`.
        elapsed_s: since the measurement began; 0 before.
        queries: answered.
        samples: answered.
        rate: samples a second over the last second or so.
        p99_ns: of the latencies as the SUT sees them, all so far or a late part of them; None with too few, and in
            Offline, where all samples are issued at once.
        fraction: of the samples that are being loaded, while loading.
    """

    phase: str
    elapsed_s: float = 0.0
    queries: int = 0
    samples: int = 0
    rate: float = 0.0
    p99_ns: float | None = None
    fraction: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run came out.

    Attributes:
        status: `ended` when LoadGen came to its end and nothing failed; `failed` with a traceback from the child;
            `stuck` when a query was not answered; `killed` when the child died of a signal; `leaked` when its memory
            passed the limit; `hopeless` when too many queries were late; `interrupted` by Ctrl-C.
        failure: why, in words; the last lines of a traceback when there is one. Empty when it ended.
        log_dir: LoadGen's logs, whole only when the run ended.
        recording: what the SUT saw, up to the end or the failure.
        settings: as asked, with what the warm-up found filled in.
        execution_ns: median time of one execution by bucket, from the warm-up.
        retraces: tracings and compilations during the measurement; must be 0.
        memory_start_bytes: the child's resident memory when the measurement began, without what it shares, such as the
            recording.
        memory_end_bytes: and when it ended.
        other_cpu_s: processor time that processes other than this run's took during the measurement, as far as two
            readings near its ends tell, at least 0; None where the system does not tell, and of a run too short for
            two readings.
        measured_s: seconds from the first query to the last answer.
        notes: what is worth knowing of a run that ended, in words, such as a limit that memory set.
    """

    status: Literal["ended", "failed", "stuck", "killed", "leaked", "hopeless", "interrupted"]
    failure: str
    log_dir: pathlib.Path
    recording: Recording
    settings: Settings
    execution_ns: Mapping[Bucket, float]
    retraces: int = 0
    memory_start_bytes: int | None = None
    memory_end_bytes: int | None = None
    other_cpu_s: float | None = None
    measured_s: float = 0.0
    notes: tuple[str, ...] = ()
