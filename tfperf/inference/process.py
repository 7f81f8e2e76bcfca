"""Runs a job in a separate process, which can neither hang nor crash this one.

The child writes into the recording, and the parent reads it a few times a second. This costs the child nothing.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import shutil
from collections.abc import Callable, Iterator, Sequence

from tfperf.inference import child, generation, interpreter
from tfperf.inference.job import Job, LoadgenOutcome, RunProgress
from tfperf.inference.recording import Recording
from tfperf.inference.supervisor import RunEnd, Supervisor
from tfperf.system import memory, scratch

CHILD_LOG = "child.log"

_ROWS = 1 << 22  # the last ones, of the recording: 300 MB if all are written


def run(
    job: Job,
    *,
    on_progress: Callable[[RunProgress], None] = lambda progress: None,
    other_cpu_s: Callable[[Sequence[int]], float | None] = lambda pids: None,
) -> LoadgenOutcome:
    """Runs LoadGen in a child process, on the model that the job opens, and waits for the end.

    Returns an outcome whatever happens to the child, and after Ctrl-C (KeyboardInterrupt) here. The child's output goes
    to `child.log` in the job's `log_dir`.

    Args:
        job: the run.
        on_progress: called a few times a second. An exception from it ends the child and is raised here.
        other_cpu_s: process ids -> seconds of processor time that all other processes have used so far.

    Raises:
        UsageError: the queries that LoadGen generates would not fit into memory.
        TypeError: the job can't be sent to another process.
    """
    generation.check_memory(job.settings, available_bytes=memory.available_bytes())
    pickled = interpreter.pickled(job)
    job.log_dir.mkdir(parents=True, exist_ok=True)
    with _recording() as recording:
        supervisor = Supervisor(job, recording, other_cpu_s)
        try:
            return supervisor.outcome(_run(job, pickled, supervisor, on_progress))
        except KeyboardInterrupt:
            return supervisor.outcome(RunEnd(status="interrupted", failure="interrupted"))


def _run(job: Job, pickled: bytes, supervisor: Supervisor, on_progress: Callable[[RunProgress], None]) -> RunEnd:
    log, recording = job.log_dir / CHILD_LOG, supervisor.recording
    log.unlink(missing_ok=True)
    call = interpreter.pickled(functools.partial(child.run, pickled, recording.path, recording.capacity))
    with interpreter.started(call, log=log, environment=job.environment) as process:
        return supervisor.until_end(process, on_progress)


@contextlib.contextmanager
def _recording() -> Iterator[Recording]:
    """A recording in shared memory if there is room, else in a temporary file. Its file is deleted afterwards."""
    shared = pathlib.Path("/dev/shm")
    room = shared.is_dir() and shutil.disk_usage(shared).free > 2 * _ROWS * Recording.ROW_BYTES
    with scratch.file(shared if room else None) as path:
        yield Recording.create(path, capacity=_ROWS)
