"""An evaluation of any model under the load that its users will put on it."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Literal

from tfperf.spec.division import Division
from tfperf.spec.inference import Executable
from tfperf.spec.phases import Concurrency, OfflineLoad, Phase, Sustained, WarmUp, phase_name
from tfperf.spec.requirement import require
from tfperf.spec.telemetry import TelemetrySpec

EvaluatedForm = Literal["as_given", Executable]

_MOST_CELLS = 64
_MOST_REPEATS = 100
_GRID = "executable x batch_size x instances x threads x device"
_DEVICE = re.compile(r"auto|(cpu|gpu)(:[1-9][0-9]?)?")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateSpec:
    """One evaluation: every phase for every combination of executable, batch size, instances, threads and device.

    Args:
        phases: how requests arrive, one phase after the other.
        measure: `model` answers requests whose inputs are in memory; `pipeline` also makes the inputs of each request,
            by the user's own data: decoding, scaling, augmentation.
        batch_size: samples in one request. Not with `pipeline`, where a request is a batch of the user's data.
        executable: compiled forms. `as_given` calls the model as the user handed it over: a Keras model through one
            `tf.function`. `auto` takes the fastest form that is accurate.
        instances: requests that are answered at the same time, on each device.
        threads: CPU threads per operation; None leaves TensorFlow's own choice.
        device: where the model runs: `auto` (a GPU if there is one), `cpu`, `gpu`, or several such as `gpu:4`, each
            with instances of its own. `cpu:2` makes two devices of the processor, to try that out.
        issuer: what sends the phases that LoadGen has. `auto` takes LoadGen itself, in a process of its own, for
            whatever can be sent there; `tfperf` sends everything.
        repeats: how often the phases run on each combination, to see how much a repeat differs.
        save_requests: whether to write a CSV file with a row for every request.
        metrics: Keras metrics by name; None takes those the model was compiled with.
        accuracy: whether to judge every executable on the whole data first.
        accuracy_loss: the share of a metric's value that a compiled form may lose against `as_given`.
        samples: samples that are kept in memory and sent again and again.
        latency_bound_ms: the bound for P99, for "the most that keeps it".
        hang_after_s: a request that takes longer counts as hanging, and ends the phase.
        seed: seeds random arrivals.
        telemetry: how the machine's use and energy are recorded.
        division: `internal`, and nothing else.
    """

    phases: tuple[Phase, ...]
    measure: Literal["model", "pipeline"] = "model"
    batch_size: tuple[int, ...] = (1,)
    executable: tuple[EvaluatedForm, ...] = ("as_given",)
    instances: tuple[int, ...] = (1,)
    threads: tuple[int | None, ...] = (None,)
    device: tuple[str, ...] = ("auto",)
    issuer: Literal["auto", "tfperf"] = "auto"
    repeats: int = 1
    save_requests: bool = False
    metrics: tuple[str, ...] | None = None
    accuracy: bool = True
    accuracy_loss: float = 0.01
    samples: int = 1024
    latency_bound_ms: float | None = None
    hang_after_s: float = 60.0
    seed: int = 1
    telemetry: TelemetrySpec = dataclasses.field(default_factory=TelemetrySpec)
    division: Division = Division.INTERNAL

    def __post_init__(self) -> None:
        bound, division = self.latency_bound_ms, str(self.division)
        piped = self.measure == "pipeline"
        grid = (self.executable, self.batch_size, self.instances, self.threads, self.device)
        cells = math.prod(map(len, grid))
        require(
            (any(not isinstance(phase, WarmUp) for phase in self.phases), "phases", _named(self.phases), _SOME_LOAD),
            (_ascending(self.batch_size), "batch_size", self.batch_size, _ASCENDING),
            (_ascending(self.instances), "instances", self.instances, _ASCENDING),
            (_different(self.executable), "executable", self.executable, "one form or more, each once"),
            (
                _different(self.threads) and all(each is None or each > 0 for each in self.threads),
                "threads",
                self.threads,
                "whole numbers above 0 or null, each once",
            ),
            (
                _different(self.device) and all(_DEVICE.fullmatch(each) for each in self.device),
                "device",
                self.device,
                "auto, cpu, cpu:N, gpu or gpu:N, each once",
            ),
            (cells <= _MOST_CELLS, _GRID, cells, f"at most {_MOST_CELLS} combinations"),
            (0 < self.repeats <= _MOST_REPEATS, "repeats", self.repeats, f"1 to {_MOST_REPEATS}"),
            (
                not piped or len(self.threads) == len(self.device) == 1,
                "threads and device",
                (self.threads, self.device),
                "one each with measure: pipeline, where the user's own code runs in this process",
            ),
            (
                not piped or self.batch_size == (1,),
                "batch_size",
                self.batch_size,
                "left out with measure: pipeline, where a request is one batch of the data as it was made",
            ),
            (
                "auto" not in self.executable or len(self.executable) == 1,
                "executable",
                self.executable,
                "auto alone, or forms by name",
            ),
            (0 <= self.accuracy_loss < 1, "accuracy_loss", self.accuracy_loss, "0 or more and below 1"),
            (self.samples > 0, "samples", self.samples, "1 or more"),
            (bound is None or (math.isfinite(bound) and bound > 0), "latency_bound_ms", bound, "more than 0, or null"),
            (math.isfinite(self.hang_after_s) and self.hang_after_s > 0, "hang_after_s", self.hang_after_s, "above 0"),
            (0 < self.seed < 2**31, "seed", self.seed, "1 to 2147483647"),
            (division == "internal", "division", division, "internal, which may be left out: it is no MLPerf result"),
            *_peaks(self.phases),
        )


_SOME_LOAD = "one phase or more that measures: a warm_up alone measures nothing"
_ASCENDING = "whole numbers above 0, ascending"


def _peaks(phases: tuple[Phase, ...]) -> list[tuple[bool, str, object, str]]:
    """A share of the peak needs a phase before it that measures the peak."""
    found: list[tuple[bool, str, object, str]] = []
    for place, phase in enumerate(phases):
        if isinstance(phase, Sustained):
            before = any(isinstance(each, OfflineLoad | Concurrency) for each in phases[:place])
            accepted = "after offline or concurrency, which measure the peak that it takes a share of"
            found.append((before, f"phases[{place}]", "sustained", accepted))
    return found


def _named(phases: tuple[Phase, ...]) -> list[str]:
    return [phase_name(phase) for phase in phases]


def _ascending(values: tuple[int, ...]) -> bool:
    return bool(values) and values[0] > 0 and list(values) == sorted(set(values))


def _different(values: tuple[object, ...]) -> bool:
    return bool(values) and len(set(values)) == len(values)
