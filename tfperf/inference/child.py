"""What runs in the process of LoadGen: opens what is served, warms it up, measures, and says how it went."""

from __future__ import annotations

import dataclasses
import gc
import pathlib
import pickle
import sys
import time
from collections.abc import Mapping
from typing import Any

from tfperf.inference import generation
from tfperf.inference.job import Job, Served, Settings
from tfperf.inference.recording import PHASES, Recording
from tfperf.inference.reports import Reports
from tfperf.system import memory

# A thread that wants to run Python waits this long for the one that does. The default of 5 ms is a third of the
# tightest latency bound (15 ms, resnet50 in Server), and LoadGen's thread would issue late by as much. 0.1 ms is still
# ten times what a change of threads costs.
_SWITCH_INTERVAL_S = 1e-4

_FOUND = ("latency_bound_ns", "expected_latency_ns", "expected_qps")  # settings that may be None until the warm-up


def run(pickled_job: bytes, path: pathlib.Path, capacity: int, reports: Reports) -> None:
    """Runs a job; says `mapped`, `warmed` and, when nothing failed, `ended`.

    Args:
        pickled_job: pickled, since what it imports takes time.
        path: of the recording, of which only the map is needed once it is `mapped`.
        capacity: of the recording.
        reports: where it is said, and the first failure is told.
    """
    recording = Recording(path, capacity=capacity)
    reports.say("mapped")
    _serve(_job(pickled_job), recording, reports)


def _job(pickled: bytes) -> Job:
    try:
        job = pickle.loads(pickled)
    except (AttributeError, ImportError) as error:
        raise TypeError(
            f"Job.open can't be had in another process: {error}. It must be a function of a module that can be "
            "imported, or a partial of one; not of __main__."
        ) from error
    if not isinstance(job, Job):
        raise TypeError(f"Expected a Job, got {type(job).__name__}.")
    return job


def _serve(job: Job, recording: Recording, reports: Reports) -> None:
    served = job.open()
    from tfperf.inference import (  # numpy and LoadGen, after what TensorFlow sets up
        library,
        loadgen,
        rehearsal,
        sut,
        warm_up,
    )

    _enter(recording, "warming up")
    execution_ns = warm_up.measure(served)
    asked = loadgen.with_bound(job.settings)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    rate: float | None = None
    reasons: tuple[str, ...] = ()
    if rehearsal.is_needed(asked, execution_ns=execution_ns):
        rate, reasons = _rehearsed(served, asked, execution_ns)
    settings, notes = generation.fitted(
        asked,
        execution_ns=execution_ns,
        instances=len(served.instances),
        available_bytes=memory.available_bytes(),
        sut_rate=rate,
    )
    reports.say(
        "warmed",
        execution_ns={str(size): time_ns for size, time_ns in execution_ns.items()},
        found={name: getattr(settings, name) for name in _FOUND},
        total=served.total,
        notes=(*reasons, *notes),
    )
    samples = library.SampleLibrary(served, recording)

    def fail(error: BaseException) -> None:
        recording.head[Recording.failed_word] = 1
        reports.fail(error)

    measured = sut.build(
        settings, served, samples, recording, complete=loadgen.complete, fail=fail, execution_ns=execution_ns
    )
    gc.collect()
    gc.freeze()  # what lives until the end need not be looked through during the measurement
    traces = served.traces()
    loadgen.run(
        settings, measured, _Phased(library=samples, recording=recording), job.log_dir, total=served.total, fail=fail
    )
    _enter(recording, "ending")
    retraces = served.traces() - traces
    measured.close()
    if not reports.failed:
        reports.say("ended", retraces=retraces)


def _rehearsed(
    served: Served, settings: Settings, execution_ns: Mapping[int, float]
) -> tuple[float | None, tuple[str, ...]]:
    """The rate of the SUT, or why it is not known: what fails with noise may work with samples."""
    from tfperf.inference import rehearsal

    try:
        return rehearsal.samples_per_s(served, settings, execution_ns=execution_ns), ()
    except Exception as error:
        return None, (f"the rate was taken from the model's time alone, since with noise it fails: {error!r}",)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Phased:
    """A sample library that says in the recording what the run is doing."""

    library: Any
    recording: Recording

    def load(self, indices: list[int]) -> None:
        _enter(self.recording, "loading samples")
        self.library.load(indices)
        _enter(self.recording, "measuring")

    def unload(self, indices: list[int]) -> None:
        _enter(self.recording, "ending")
        self.library.unload(indices)


def _enter(recording: Recording, phase: str) -> None:
    """Says what the run is doing, and stamps where the measurement begins, once, and where it ends, last."""
    head, now = recording.head, time.perf_counter_ns()
    if phase == "measuring" and not head[Recording.started_word]:
        head[Recording.started_word] = now
    if phase == "ending":
        head[Recording.ended_word] = now
    head[Recording.phase_word] = PHASES.index(phase)
