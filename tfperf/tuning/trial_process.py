"""Runs a trial in its own process and makes sure that the trial ends, however the process does."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from tfperf.tuning import trial as trials
from tfperf.tuning.trial import Trial

LOG = "log.txt"
# Exit codes of an interrupted process: ended by the signal, or with the exit code of the command line.
INTERRUPTED = (-signal.SIGINT, -signal.SIGTERM, 130)
_LOG_TAIL_BYTES = 2000
_POLL_S = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """A trial that hasn't started yet.

    Attributes:
        trial: the trial, with its values.
        program: the module that runs it: `python -m PROGRAM TRIAL_DIRECTORY PARENT_PID`.
        files: name -> text of the files that the program finds in the trial's directory.
    """

    trial: Trial
    program: str
    files: Mapping[str, str]


def run(
    directory: pathlib.Path,
    planned: PlannedTrial,
    *,
    limit_s: float | None = None,
    cancelled: threading.Event | None = None,
) -> Trial:
    """Runs a trial and returns it with its result. A trial that has already ended is not run again.

    Args:
        directory: the trial's directory.
        planned: the trial.
        limit_s: seconds after which the trial has failed; None sets no limit.
        cancelled: set from another thread to end the trial.

    Raises:
        KeyboardInterrupt: the process was interrupted. The trial must be run again.
    """
    before = _ended_before(directory, planned.trial)
    if before is not None:
        return before
    trials.make_directory(directory)
    for name, text in planned.files.items():
        (directory / name).write_text(text, encoding="utf-8")
    trials.write(directory, dataclasses.replace(planned.trial, started_s=time.time()))
    with (directory / LOG).open("wb", buffering=0) as log:
        log.write(b"internal sweep\n")
        with _process(planned.program, directory, log.fileno()) as process:
            failure = _wait(process, limit_s=limit_s, cancelled=cancelled or threading.Event())
    if process.returncode in INTERRUPTED and not failure:
        raise KeyboardInterrupt
    ended = trials.read(directory)
    if not ended.ended:
        reason = failure or _exit_reason(process.returncode, directory / LOG)
        ended = dataclasses.replace(ended, status="failed", reason=reason)
        trials.write(directory, ended)
    return ended


def _wait(process: subprocess.Popen[bytes], *, limit_s: float | None, cancelled: threading.Event) -> str:
    """Waits for the process to end. Returns why it must be killed, or nothing when it has ended."""
    ends_s = None if limit_s is None else time.perf_counter() + limit_s
    while process.poll() is None:
        if cancelled.wait(_POLL_S):
            raise KeyboardInterrupt
        if ends_s is not None and time.perf_counter() > ends_s:
            return f"it had not finished after {limit_s:g} s (trial_limit_s)"
    return ""


def _ended_before(directory: pathlib.Path, planned: Trial) -> Trial | None:
    if not (directory / trials.NAME).is_file():
        return None
    found = trials.read(directory)
    same = (found.values, found.seed, found.max_epochs) == (dict(planned.values), planned.seed, planned.max_epochs)
    return found if same and found.ended else None


@contextlib.contextmanager
def _process(program: str, directory: pathlib.Path, log: int) -> Iterator[subprocess.Popen[bytes]]:
    """The trial's process. It leads a group; no process of the group outlives the block."""
    command = [sys.executable, "-m", program, str(directory), str(os.getpid())]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), start_new_session=True
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def environment(**more: str) -> dict[str, str]:
    """The environment of the sweep's processes: this one's, with the same module path and a quiet TensorFlow."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": paths, **more}


def _exit_reason(code: int, log: pathlib.Path) -> str:
    if code == -signal.SIGKILL:
        return "the trial's process was killed (SIGKILL), probably out of memory"
    if code < 0:
        return f"the trial's process died of {signal.Signals(-code).name}{_last_line(log)}"
    return f"the trial's process ended with exit code {code}{_last_line(log)}"


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
