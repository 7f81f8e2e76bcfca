"""An inference measurement."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

from tfperf.spec.data import Data
from tfperf.spec.division import Division
from tfperf.spec.requirement import require
from tfperf.spec.scenario import MultiStream, Scenario, SingleStream
from tfperf.spec.submission import Submission
from tfperf.spec.telemetry import TelemetrySpec

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
    "litert-dynamic_int8",
]

_INSTANCES = (
    "1 or more, or auto, in Server and Offline, and 1 in SingleStream and MultiStream, which answer one query at a time"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferSpec:
    """One inference measurement. With the code version, the weights and the data, it repeats the measurement.

    Args:
        benchmark: name of a benchmark, or the dotted path of a module that holds one.
        division: see `Division`.
        scenario: how samples arrive, by LoadGen's rules.
        data: where samples come from.
        model: the benchmark's own options, a dataclass; None takes its defaults.
        executable: the compiled form of the model; `auto` measures all forms and takes the fastest accurate one.
        batch_sizes: batch sizes to compile the model for, ascending; None takes the scenario's defaults.
        instances: copies of the executable that work on different batches at the same time, each in its own thread;
            `auto` measures 1, 2, 4, ... of them that share the processors, and takes the fastest.
            More than 1 only in Server and Offline.
        threads: CPU threads per operation; None divides the available processors among the instances.
        min_duration_s: shortest time that LoadGen measures.
        min_queries: fewest queries, or samples in Offline; None takes the number in the rules.
        performance_samples: samples in memory during the measurement; None takes the benchmark's number.
        accuracy: whether to measure the accuracy as well, on the whole evaluation set.
        quality_target: replaces the benchmark's target in open and internal runs.
        telemetry: how the machine's use and energy are recorded.
        submission: who ran the benchmark, and on what.
    """

    benchmark: str
    division: Division
    scenario: Scenario
    data: Data
    model: Any = None
    executable: Executable = "auto"
    batch_sizes: tuple[int, ...] | None = None
    instances: int | Literal["auto"] = 1
    threads: int | None = None
    min_duration_s: float = 600.0
    min_queries: int | None = None
    performance_samples: int | None = None
    accuracy: bool = True
    quality_target: float | None = None
    telemetry: TelemetrySpec = dataclasses.field(default_factory=TelemetrySpec)
    submission: Submission = dataclasses.field(default_factory=Submission)

    def __post_init__(self) -> None:
        sizes, target, duration = self.batch_sizes, self.quality_target, self.min_duration_s
        counts = [(name, getattr(self, name)) for name in ("threads", "min_queries", "performance_samples")]
        several = self.instances == "auto" or self.instances > 1
        streams = isinstance(self.scenario, SingleStream | MultiStream)
        ascending = sizes is None or (bool(sizes) and sizes[0] > 0 and list(sizes) == sorted(set(sizes)))
        require(
            (math.isfinite(duration) and duration > 0, "min_duration_s", duration, "more than 0"),
            (ascending, "batch_sizes", sizes, "whole numbers above 0, ascending, or null"),
            *((value is None or value > 0, name, value, "1 or more, or null") for name, value in counts),
            (target is None or math.isfinite(target), "quality_target", target, "a number, or null"),
            (self.instances == 1 or (several and not streams), "instances", self.instances, _INSTANCES),
        )
