"""The process in which LoadGen runs: opens what is served, warms it up, measures, and says how it went.

It says so in lines of JSON through a pipe, and ends without cleaning up: LoadGen's threads outlive an exception and
would crash the interpreter on its way out.
"""

from __future__ import annotations

import ctypes
import dataclasses
import faulthandler
import gc
import json
import os
import pathlib
import pickle
import signal
import sys
import threading
import time
import traceback
from typing import Any

from tfperf.errors import TfperfError
from tfperf.inference import generation, memory
from tfperf.inference.job import Job
from tfperf.inference.recording import PHASES, Recording

# A thread that wants to run Python waits this long for the one that does. The default of 5 ms is a third of the
# tightest latency bound (15 ms, resnet50 in Server), and LoadGen's thread would issue late by as much. 0.1 ms is still
# ten times what a change of threads costs.
_SWITCH_INTERVAL_S = 1e-4

_FOUND = ("latency_bound_ns", "expected_latency_ns", "expected_qps")  # settings that may be None until the warm-up
_LONGEST_TRACEBACK = 16_000  # characters, so that a line fits into the pipe and writing it never waits
_PR_SET_PDEATHSIG = 1  # of prctl(2)
STACKS_SIGNAL = signal.SIGUSR1


class Reports:
    """Lines of JSON to the parent: `mapped`, `warmed`, `ended`, and at most one `failed`."""

    def __init__(self, pipe: int) -> None:
        self.failed = False
        self._pipe = pipe
        self._lock = threading.Lock()

    def say(self, kind: str, **values: Any) -> None:
        """Sends one line."""
        with self._lock:
            os.write(self._pipe, json.dumps({"kind": kind, **values}).encode() + b"\n")

    def fail(self, error: BaseException) -> None:
        """Sends the first error with its traceback; those after it follow from it."""
        with self._lock:
            first, self.failed = not self.failed, True
        if first:
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            words = str(error) if isinstance(error, TfperfError) else trace[-_LONGEST_TRACEBACK:].rstrip()
            self.say("failed", words=words, expected=isinstance(error, TfperfError))


def main() -> None:
    """Runs the job that comes in through stdin; the arguments are what `process` passes."""
    pipe, parent, path, capacity = int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]), int(sys.argv[5])
    reports = Reports(pipe)
    try:
        _stand_alone(parent)
        recording = Recording(path, capacity=capacity)
        reports.say("mapped")
        _serve(_job(), recording, reports)
    except BaseException as error:
        reports.fail(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if reports.failed else 0)


def _stand_alone(parent: int) -> None:
    """Leaves Ctrl-C to the parent, dies when the parent does, and writes where it stands when it is asked to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(STACKS_SIGNAL, all_threads=True)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _job() -> Job:
    pickled = sys.stdin.buffer.read()
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
    from tfperf.inference import library, loadgen, sut, warm_up  # numpy and LoadGen, after what TensorFlow sets up

    _enter(recording, "warming up")
    execution_ns = warm_up.measure(served)
    asked = loadgen.with_bound(job.settings)
    settings, notes = generation.fitted(asked, execution_ns=execution_ns, available_bytes=memory.available_bytes())
    reports.say(
        "warmed",
        execution_ns={str(size): time_ns for size, time_ns in execution_ns.items()},
        found={name: getattr(settings, name) for name in _FOUND},
        total=served.total,
        notes=notes,
    )
    samples = library.SampleLibrary(served, recording)

    def fail(error: BaseException) -> None:
        recording.head[Recording.failed_word] = 1
        reports.fail(error)

    measured = sut.build(
        settings, served, samples, recording, complete=loadgen.complete, fail=fail, execution_ns=execution_ns
    )
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()  # what lives until the end need not be looked through during the measurement
    traces = served.executable.traces()
    loadgen.run(
        settings, measured, _Phased(library=samples, recording=recording), job.log_dir, total=served.total, fail=fail
    )
    _enter(recording, "ending")
    retraces = served.executable.traces() - traces
    measured.close()
    if not reports.failed:
        reports.say("ended", retraces=retraces)


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
