"""Runs a job in a process of its own, which can neither hang nor crash this one.

The parent polls what the child writes into the recording, a few times a second; the child does nothing for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tfperf import loadgen_log
from tfperf.inference import child, conf, generation, interpreter
from tfperf.inference.heartbeat import Heartbeat
from tfperf.inference.interpreter import Interpreter
from tfperf.inference.job import Beat, Job, Outcome, Settings
from tfperf.inference.lateness import Lateness
from tfperf.inference.recording import WORD, Recording
from tfperf.inference.reports import STACKS_SIGNAL
from tfperf.system import memory

CHILD_LOG = "child.log"

_POLL_S = 0.2
_ROWS = 1 << 22  # of the recording: 200 MB if all are written
_ROW_BYTES = 7 * WORD

# What a failed child gets to end by itself, so that LoadGen's logs are whole.
_GRACE_S = 2.0
_STACKS_S = 2.0  # to write where a stuck child stands

_LEAST_STUCK_S = 30.0  # a virtual machine was seen to stand still for more than 5 s
_STUCK_EXECUTIONS = 20
# For whatever no query waits for: compiling a model, reading samples, LoadGen's generation and sorting.
_STANDSTILL_S = 1800.0

_MEMORY_SHARE = 0.9
_GROWTH_BYTES = 256 * 2**20
_GROWTH_SHARE = 0.2
_LOG_BYTES_PER_SAMPLE = 64  # LoadGen keeps each latency: 8 bytes, up to three times that while its array grows
_LOG_LINES = 20
_STACK_LINES = 60

Status = Literal["ended", "failed", "stuck", "killed", "leaked", "hopeless", "interrupted"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Verdict:
    """Why the parent stopped to watch."""

    status: Status
    failure: str = ""


def run(
    job: Job,
    *,
    watch: Callable[[Beat], None] = lambda beat: None,
    other_cpu_s: Callable[[Sequence[int]], float | None] = lambda pids: None,
) -> Outcome:
    """Runs LoadGen on what the job opens, in a child process, and waits for the end.

    Whatever becomes of the child comes back as an outcome, and so does Ctrl-C (KeyboardInterrupt) here. The child's
    output goes to `child.log` in the job's `log_dir`.

    Args:
        job: what to run.
        watch: called a few times a second. What it raises ends the child and gets out of here.
        other_cpu_s: process ids -> seconds of processor time that all other processes have taken so far.

    Raises:
        UsageError: a rate in Server whose queries would not fit into memory.
        TypeError: the job can't be sent to another process.
    """
    generation.check_rate(job.settings, available_bytes=memory.available_bytes())
    pickled = interpreter.pickled(job)
    job.log_dir.mkdir(parents=True, exist_ok=True)
    with _recording() as recording:
        watched = _Watch(job, recording, other_cpu_s)
        try:
            return watched.outcome(_run(job, pickled, watched, watch))
        except KeyboardInterrupt:
            return watched.outcome(_Verdict(status="interrupted", failure="interrupted"))


def _run(job: Job, pickled: bytes, watched: _Watch, watch: Callable[[Beat], None]) -> _Verdict:
    log, recording = job.log_dir / CHILD_LOG, watched.recording
    log.unlink(missing_ok=True)
    call = interpreter.pickled(functools.partial(child.run, pickled, recording.path, recording.capacity))
    with interpreter.started(call, log=log, environment=job.environment) as process:
        return watched.until_end(process, watch)


@contextlib.contextmanager
def _recording() -> Iterator[Recording]:
    """A recording in memory where there is room, else in a temporary file; its name is gone afterwards."""
    shared = pathlib.Path("/dev/shm")
    room = shared.is_dir() and shutil.disk_usage(shared).free > 2 * _ROWS * _ROW_BYTES
    handle, name = tempfile.mkstemp(prefix="tfperf-recording-", dir=shared if room else None)
    os.close(handle)
    path = pathlib.Path(name)
    try:
        yield Recording.create(path, capacity=_ROWS)
    finally:
        path.unlink(missing_ok=True)


def _lines(text: bytes, *, last: int) -> str:
    """The last lines, to follow a sentence."""
    return "".join(f"\n{line}" for line in text.decode(errors="replace").splitlines()[-last:])


class _Watch:
    """Looks after a process until its end, and sums it up.

    Attributes:
        recording: that the process writes.
    """

    def __init__(self, job: Job, recording: Recording, other_cpu_s: Callable[[Sequence[int]], float | None]) -> None:
        self.recording = recording
        self._job = job
        self._said: Mapping[str, Mapping[str, Any]] = {}
        self._heartbeat = Heartbeat(recording, percentile=job.settings.scenario != "Offline")
        self._lateness = _lateness(job, recording)
        self._limit: int | None = None
        self._read_cpu = other_cpu_s
        self._held: list[int] = []  # the first and the last while measuring
        self._cpu: list[tuple[float, float]] = []  # when read, and what: at its start and after its end
        self._now_held: int | None = None
        self._failed_at: float | None = None

    def until_end(self, process: Interpreter, watch: Callable[[Beat], None]) -> _Verdict:
        """Waits for the process to end, or for a reason to end it, and leaves it dead."""
        self._said = process.said
        self._limit = self._job.memory_limit_bytes
        available = memory.available_bytes()
        if self._limit is None and available is not None:
            self._limit = round(_MEMORY_SHARE * available)
        verdict = None
        while verdict is None:
            process.listen(_POLL_S)
            if "mapped" in self._said:  # nothing is left behind should this process be killed
                self.recording.path.unlink(missing_ok=True)
            beat = self._heartbeat.beat()
            watch(beat)
            verdict = self._of_end(process) if process.ended else self._of_state(process, beat)
            self._measure(process.pid, over=verdict is not None)
        process.kill()
        return verdict

    def outcome(self, verdict: _Verdict) -> Outcome:
        """What became of the run; the child is dead."""
        warmed, ended = self._said.get("warmed"), self._said.get("ended", {})
        settings = dataclasses.replace(self._job.settings, **(warmed["found"] if warmed else {}))
        if verdict.status == "ended" and warmed:
            verdict = self._checked(settings, total=warmed["total"])
        measured_s = _measured_s(self.recording)
        return Outcome(
            status=verdict.status,
            failure=verdict.failure,
            log_dir=self._job.log_dir,
            recording=self.recording,
            settings=settings,
            execution_ns=_execution_ns(warmed),
            retraces=ended.get("retraces", 0),
            memory_start_bytes=self._held[0] if self._held else None,
            memory_end_bytes=self._held[-1] if self._held else None,
            other_cpu_s=self._other_cpu_s(measured_s),
            measured_s=measured_s,
            notes=tuple(warmed["notes"]) if warmed else (),
        )

    def _of_state(self, process: Interpreter, beat: Beat) -> _Verdict | None:
        """What is wrong with a child that runs; None when nothing is."""
        self._now_held = memory.held_bytes(process.pid)
        if "failed" in self._said:
            return self._of_failure()
        return self._of_standstill(process) or self._of_memory(beat) or self._of_lateness()

    def _measure(self, pid: int, *, over: bool) -> None:
        """Takes down the memory held while measuring, and what others took of the processors around it."""
        measuring = self._heartbeat.phase == "measuring" and not over
        if not self._heartbeat.begun:
            return
        if measuring and self._now_held is not None:
            self._held[1:] = [self._now_held]
        if len(self._cpu) == (0 if measuring else 1):
            taken = self._read_cpu((os.getpid(), pid))
            if taken is not None:
                self._cpu.append((time.perf_counter(), taken))

    def _other_cpu_s(self, measured_s: float) -> float | None:
        """For the time that was measured, as much as between the readings; they lie up to a poll after its ends."""
        if len(self._cpu) < 2:
            return None
        (began, before), (ended, after) = self._cpu
        return max(0.0, after - before) * measured_s / (ended - began)

    def _of_failure(self) -> _Verdict | None:
        """A child that failed gets a moment to end by itself."""
        self._failed_at = self._failed_at or time.perf_counter()
        return self._failed() if time.perf_counter() - self._failed_at > _GRACE_S else None

    def _failed(self) -> _Verdict:
        return _Verdict(status="failed", failure=str(self._said["failed"]["words"]))

    def _of_standstill(self, process: Interpreter) -> _Verdict | None:
        heartbeat, waited = self._heartbeat, self._stuck_after_s()
        if heartbeat.waiting and heartbeat.idle_s > waited:
            issued, completed = (self.recording.counter(name) for name in ("issued", "completed"))
            what = f"{issued - completed} of {issued} queries were not answered, and nothing moved for {waited:g} s"
        elif heartbeat.idle_s > _STANDSTILL_S:
            what = f"nothing moved for {_STANDSTILL_S:g} s while {heartbeat.phase}"
        else:
            return None
        return _Verdict(status="stuck", failure=what + _stacks(process))

    def _stuck_after_s(self) -> float:
        if self._job.stuck_after_s is not None:
            return self._job.stuck_after_s
        slowest_ns = max(_execution_ns(self._said.get("warmed")).values(), default=0.0)
        return max(_LEAST_STUCK_S, _STUCK_EXECUTIONS * slowest_ns / 1e9)

    def _of_memory(self, beat: Beat) -> _Verdict | None:
        if self._limit is None or self._now_held is None or self._now_held <= self._limit:
            return None
        return _Verdict(
            status="leaked",
            failure=f"the serving process held {_megabytes(self._now_held)} while {beat.phase}, more than the limit of "
            f"{_megabytes(self._limit)}; it was ended before the system would have been",
        )

    def _of_lateness(self) -> _Verdict | None:
        if self._lateness is None or self._job.most_late is None:
            return None
        late = self._lateness.late()
        if late <= self._job.most_late:
            return None
        return _Verdict(
            status="hopeless",
            failure=f"it was ended after {_measured_s(self.recording):.3g} s, when {late:,} queries were over the "
            f"latency bound; no more than {self._job.most_late:,} may be",
        )

    def _of_end(self, process: Interpreter) -> _Verdict:
        code = process.exit_code()
        if "failed" in self._said:
            return self._failed()
        if code < 0:
            return _Verdict(status="killed", failure=_died_of(-code) + _last_lines(process))
        if code or "ended" not in self._said:
            words = f"the serving process ended with exit code {code} and no result."
            return _Verdict(status="failed", failure=words + _last_lines(process))
        return _Verdict(status="ended")

    def _checked(self, settings: Settings, *, total: int) -> _Verdict:
        """Whether a run that came to its end was the run that was asked for, and kept its memory."""
        differing = conf.differences(settings, self._job.log_dir, total=total)
        if differing:
            return _Verdict(status="failed", failure="; ".join(differing))
        if not loadgen_log.read(self._job.log_dir).ended:
            return _Verdict(status="failed", failure=f"LoadGen's log in {self._job.log_dir} is cut off")
        if not self._held or settings.mode == "accuracy":  # which reads the samples while it goes on
            return _Verdict(status="ended")
        start, end = self._held[0], self._held[-1]
        allowed = max(_GROWTH_BYTES, _GROWTH_SHARE * start)
        if end - start - _LOG_BYTES_PER_SAMPLE * self.recording.counter("samples") <= allowed:
            return _Verdict(status="ended")
        return _Verdict(
            status="leaked",
            failure=f"the serving process grew from {_megabytes(start)} to {_megabytes(end)} during the measurement; "
            f"{_megabytes(allowed)} and {_LOG_BYTES_PER_SAMPLE} bytes a sample are allowed",
        )


def _lateness(job: Job, recording: Recording) -> Lateness | None:
    bound_ns = job.settings.latency_bound_ns
    return None if job.most_late is None or bound_ns is None else Lateness(recording, bound_ns=bound_ns)


def _last_lines(process: Interpreter) -> str:
    return _lines(process.log.read_bytes(), last=_LOG_LINES)


def _stacks(process: Interpreter) -> str:
    """Where the threads of the process stand, by its own words, to follow a sentence.

    No thread needs to run for that, but the process must have come so far as to know the signal.
    """
    if "started" not in process.said:
        return ""
    before = size = process.log.stat().st_size
    process.send_signal(STACKS_SIGNAL)
    deadline = time.perf_counter() + _STACKS_S
    while time.perf_counter() < deadline:
        process.listen(_POLL_S / 4)
        last, size = size, process.log.stat().st_size
        if before < last == size:  # all is written
            break
    return ". Where it stood:" + _lines(process.log.read_bytes()[before:], last=_STACK_LINES)


def _execution_ns(warmed: Mapping[str, Any] | None) -> dict[int, float]:
    return {int(size): time_ns for size, time_ns in warmed["execution_ns"].items()} if warmed else {}


def _died_of(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = " The system kills so what it has no memory left for; see `dmesg`." if number == signal.SIGKILL else ""
    return f"the serving process was killed by {name}.{hint}"


def _measured_s(recording: Recording) -> float:
    """From the first query to the last answer: of the rows, or by the stamps when not all have rows."""
    issued, latency = recording.query("issued_ns"), recording.query("latency_ns")
    if not len(issued):
        return 0.0
    last = int(np.max(issued + latency))
    if not recording.complete:
        last = max(last, recording.counter("ended_ns"))
    return (last - int(issued.min())) / 1e9


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.0f} MB"
