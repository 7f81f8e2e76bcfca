"""What runs in LoadGen's process: opens the model, warms it up, measures, and reports to the parent."""

from __future__ import annotations

import dataclasses
import gc
import pathlib
import pickle
import sys
import time

from tfperf.inference import generation, rehearsal, sut, warm_up
from tfperf.inference.executable import Bucket
from tfperf.inference.job import Job, ServedModel, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.real_batches import RealBatches
from tfperf.inference.recording import PHASES, Recording
from tfperf.inference.reports import Reports
from tfperf.system import memory

# A thread that wants to run Python waits this long for the running one. The default of 5 ms is a third of the tightest
# latency bound (15 ms, resnet50 in Server), and LoadGen's thread would issue that late. 0.1 ms is still ten times the
# cost of switching threads.
_SWITCH_INTERVAL_S = 1e-4

_FOUND = ("latency_bound_ns", "expected_latency_ns", "expected_qps")  # settings that may be None until the warm-up


def run(pickled_job: bytes, path: pathlib.Path, capacity: int, reports: Reports) -> None:
    """Runs a job; reports `mapped`, `warmed` and, if nothing failed, `ended`.

    Args:
        pickled_job: pickled, since its imports take time.
        path: the recording's file; it may be deleted after `mapped`.
        capacity: the recording's capacity.
        reports: gets the reports, and the first failure.
    """
    recording = Recording(path, capacity=capacity)
    reports.say("mapped")
    _serve(_job(pickled_job), recording, reports)


def _job(pickled: bytes) -> Job:
    try:
        job = pickle.loads(pickled)
    except (AttributeError, ImportError) as error:
        raise TypeError(
            f"Job.open can't be loaded in another process: {error}. It must be a function of a module that can be "
            "imported, or a partial of one; not of __main__."
        ) from error
    if not isinstance(job, Job):
        raise TypeError(f"Expected a Job, got {type(job).__name__}.")
    return job


def _serve(job: Job, recording: Recording, reports: Reports) -> None:
    served = job.open()
    from tfperf.inference import loadgen  # here, since the parent imports this module and needs no LoadGen

    _enter(recording, "warming up")
    settings, execution_ns = _warm_up(served, loadgen.with_bound(job.settings), reports)
    if settings.scenario != "Offline" and settings.mode == "performance":
        reports.say("planned", least_queries=int(loadgen.test_settings(settings).min_query_count))

    def fail(error: BaseException) -> None:
        recording.head[Recording.failed_word] = 1
        reports.fail(error)

    library = SampleLibrary(served, recording)
    measured = sut.build(
        settings, served, library, recording, complete=loadgen.complete, fail=fail, execution_ns=execution_ns
    )
    gc.collect()
    gc.freeze()  # the collector need not look through what lives until the end
    traces = served.traces()
    phased = _PhasedLibrary(library=library, recording=recording)
    loadgen.run(settings, measured, phased, job.log_dir, total=served.total, fail=fail)
    _enter(recording, "ending")
    retraces = served.traces() - traces
    measured.close()
    if not reports.failed:
        reports.say("ended", retraces=retraces)


def _warm_up(served: ServedModel, settings: Settings, reports: Reports) -> tuple[Settings, dict[Bucket, float]]:
    """Warms up and reports `warmed`; returns the completed settings and the time of one execution by bucket."""
    batches = RealBatches(served)
    execution_ns = warm_up.measure(served, batches)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    rate = None
    if rehearsal.is_needed(settings, execution_ns=execution_ns):
        rate = rehearsal.samples_per_s(served, batches, settings, execution_ns=execution_ns)
    settings, notes = generation.fitted(
        settings,
        execution_ns=execution_ns,
        length_shares=batches.length_shares,
        instances=len(served.instances),
        available_bytes=memory.available_bytes(),
        sut_rate=rate,
    )
    reports.say(
        "warmed",
        execution_ns=[(*bucket, time_ns) for bucket, time_ns in execution_ns.items()],
        length_shares=list(batches.length_shares.items()),
        processor=served.processor,
        found={name: getattr(settings, name) for name in _FOUND},
        total=served.total,
        notes=notes,
    )
    return settings, execution_ns


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PhasedLibrary:
    """A sample library that writes the phase of the run into the recording."""

    library: SampleLibrary
    recording: Recording

    def load(self, indices: list[int]) -> None:
        _enter(self.recording, "loading samples")
        self.library.load(indices)
        _enter(self.recording, "measuring")

    def unload(self, indices: list[int]) -> None:
        _enter(self.recording, "ending")
        self.library.unload(indices)


def _enter(recording: Recording, phase: str) -> None:
    """Writes the phase, and the time when the measurement first begins and last ends."""
    head, now = recording.head, time.perf_counter_ns()
    if phase == "measuring" and not head[Recording.started_word]:
        head[Recording.started_word] = now
    if phase == "ending":
        head[Recording.ended_word] = now
    head[Recording.phase_word] = PHASES.index(phase)
