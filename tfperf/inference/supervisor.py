"""Watches the process that runs LoadGen until it ends or has to be ended, and sums up the run."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tfperf import loadgen_log
from tfperf.inference import conf
from tfperf.inference.archive import Archive
from tfperf.inference.executable import Bucket
from tfperf.inference.interpreter import Interpreter
from tfperf.inference.job import Job, LoadgenOutcome, RunProgress, Settings
from tfperf.inference.lateness import Lateness
from tfperf.inference.progress import ProgressReader
from tfperf.inference.recording import Recording
from tfperf.inference.reports import STACKS_SIGNAL
from tfperf.system import memory, processor_time

POLL_S = 0.2

# A child that failed gets this long to end by itself, so that LoadGen's logs are complete.
_GRACE_S = 2.0
_STACKS_S = 2.0  # for a stuck child to write its stacks

_LEAST_STUCK_S = 30.0  # a virtual machine was seen to stand still for more than 5 s
_LEAST_STUCK_ON_GPU_S = 300.0  # the child may use no processor time while the GPU computes
_STUCK_EXECUTIONS = 20  # as long as the slowest of the warm-up and of the run
_COMPUTES = 0.2  # a child that uses this share of a processor is not stuck
# While no query waits (compiling a model, reading samples, LoadGen's generation and sorting), or the model computes.
_STANDSTILL_S = 1800.0

_MEMORY_SHARE = 0.9
_GROWTH_BYTES = 256 * 2**20
_GROWTH_SHARE = 0.2
_LOG_BYTES_PER_SAMPLE = 64  # LoadGen keeps each latency: 8 bytes, up to three times that while its array grows
_LOG_LINES = 20
_STACK_LINES = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How the child process ended, or why it is ended: `status` and `failure` of `LoadgenOutcome`."""

    status: Literal["ended", "failed", "stuck", "killed", "leaked", "abandoned", "interrupted"]
    failure: str = ""


class Supervisor:
    """Watches a process until it ends, and sums up its run.

    Attributes:
        recording: written by the process.
    """

    def __init__(self, job: Job, recording: Recording, other_cpu_s: Callable[[Sequence[int]], float | None]) -> None:
        self.recording = recording
        self._job = job
        self._archive = Archive(recording)
        self._said: Mapping[str, Mapping[str, Any]] = {}
        self._progress = ProgressReader(recording, percentile=job.settings.scenario != "Offline")
        self._lateness = _lateness(job, recording)
        self._limit: int | None = None
        self._read_cpu = other_cpu_s
        self._held: list[int] = []  # the first and the last while measuring
        self._cpu: list[tuple[float, float]] = []  # when read, and what: at its start and after its end
        self._now_held: int | None = None
        self._failed_at: float | None = None
        self._used_s: float | None = None  # the child's processor time when anything last happened

    def until_end(self, process: Interpreter, on_progress: Callable[[RunProgress], None]) -> RunEnd:
        """Waits until the process ends or has to be ended; it is dead afterwards."""
        self._said = process.said
        self._limit = self._job.memory_limit_bytes
        available = memory.available_bytes()
        if self._limit is None and available is not None:
            self._limit = round(_MEMORY_SHARE * available)
        end = None
        while end is None:
            process.listen(POLL_S)
            if "mapped" in self._said:  # so that no file is left if this process is killed
                self.recording.path.unlink(missing_ok=True)
            self._archive.read()
            progress = self._progress.read()
            on_progress(dataclasses.replace(progress, least_queries=self._said.get("planned", {}).get("least_queries")))
            end = self._end(process) if process.ended else self._fault(process, progress)
            self._measure(process.pid, over=end is not None)
        process.kill()
        return end

    def outcome(self, end: RunEnd) -> LoadgenOutcome:
        """Sums up the run. The child must be dead."""
        warmed, ended = self._said.get("warmed"), self._said.get("ended", {})
        settings = dataclasses.replace(self._job.settings, **(warmed["found"] if warmed else {}))
        if end.status == "ended" and warmed:
            end = self._checked(settings, total=warmed["total"])
        if not self.recording.complete:
            self._archive.read(ended=True)
        measured_s = self._measured_s()
        return LoadgenOutcome(
            status=end.status,
            failure=end.failure,
            log_dir=self._job.log_dir,
            recording=self.recording,
            archive=None if self.recording.complete else self._archive,
            settings=settings,
            execution_ns=_execution_ns(warmed),
            length_shares={length: share for length, share in warmed["length_shares"]} if warmed else {},
            processor=tuple(warmed["processor"]) if warmed and warmed["processor"] else None,
            retraces=ended.get("retraces", 0),
            memory_start_bytes=self._held[0] if self._held else None,
            memory_end_bytes=self._held[-1] if self._held else None,
            other_cpu_s=self._other_cpu_s(measured_s),
            measured_s=measured_s,
            span_ns=self._span_ns(),
            notes=tuple(warmed["notes"]) if warmed else (),
        )

    def _fault(self, process: Interpreter, progress: RunProgress) -> RunEnd | None:
        """Why a running child must be ended; None if it may continue."""
        self._now_held = memory.held_bytes(process.pid)
        if "failed" in self._said:
            return self._after_failure()
        return self._standstill(process) or self._over_memory(progress) or self._too_late()

    def _measure(self, pid: int, *, over: bool) -> None:
        """Notes the child's memory while it measures, and the processor time of others before and after."""
        measuring = self._progress.phase == "measuring" and not over
        if not self._progress.begun:
            return
        if measuring and self._now_held is not None:
            self._held[1:] = [self._now_held]
        if len(self._cpu) == (0 if measuring else 1):
            taken = self._read_cpu((os.getpid(), pid))
            if taken is not None:
                self._cpu.append((time.perf_counter(), taken))

    def _other_cpu_s(self, measured_s: float) -> float | None:
        """Scaled to the measured time: the readings are up to one poll later than its ends."""
        if len(self._cpu) < 2:
            return None
        (began, before), (ended, after) = self._cpu
        return max(0.0, after - before) * measured_s / (ended - began)

    def _after_failure(self) -> RunEnd | None:
        """Gives a child that failed a moment to end by itself."""
        self._failed_at = self._failed_at or time.perf_counter()
        return self._failed() if time.perf_counter() - self._failed_at > _GRACE_S else None

    def _failed(self) -> RunEnd:
        return RunEnd(status="failed", failure=str(self._said["failed"]["words"]))

    def _standstill(self, process: Interpreter) -> RunEnd | None:
        progress = self._progress
        if progress.idle_s < 2 * POLL_S:
            self._used_s = processor_time.used_s(process.pid)
        if progress.waiting and progress.idle_s > (waited := self._stuck_after_s(process)):
            issued, completed = (self.recording.counter(name) for name in ("issued", "completed"))
            what = f"{issued - completed} of {issued} queries were not answered, and nothing happened for {waited:g} s"
        elif progress.idle_s > _STANDSTILL_S:
            what = f"nothing happened for {_STANDSTILL_S:g} s while {progress.phase}"
        else:
            return None
        return RunEnd(status="stuck", failure=what + _stacks(process))

    def _stuck_after_s(self, process: Interpreter) -> float:
        """How long a query may wait without an answer.

        A query may take longer than the warm-up and all queries before it, so a child that computes gets as much time
        as any other step.
        """
        if self._job.stuck_after_s is not None:
            return self._job.stuck_after_s
        warmed, idle_s = self._said.get("warmed"), self._progress.idle_s
        on_gpu = bool(warmed and warmed["processor"] and warmed["processor"][0] == "gpu")
        least_s = _LEAST_STUCK_ON_GPU_S if on_gpu else _LEAST_STUCK_S
        if idle_s <= least_s:
            return least_s
        executed_ns = int(self.recording.execution("compute_ns").max(initial=0))
        slowest_ns = max([executed_ns, *_execution_ns(warmed).values()])
        waited = max(least_s, _STUCK_EXECUTIONS * slowest_ns / 1e9)
        return max(waited, _STANDSTILL_S) if self._computes(process, idle_s) else waited

    def _computes(self, process: Interpreter, for_s: float) -> bool:
        """Whether the child has used much processor time since anything last happened."""
        now_s = processor_time.used_s(process.pid)
        return self._used_s is not None and now_s is not None and now_s - self._used_s >= _COMPUTES * for_s

    def _over_memory(self, progress: RunProgress) -> RunEnd | None:
        if self._limit is None or self._now_held is None or self._now_held <= self._limit:
            return None
        return RunEnd(
            status="leaked",
            failure=f"the serving process used {_megabytes(self._now_held)} while {progress.phase}, more than the "
            f"limit of {_megabytes(self._limit)}; it was killed before the system ran out of memory",
        )

    def _too_late(self) -> RunEnd | None:
        if self._lateness is None or self._job.most_late is None:
            return None
        late = self._lateness.late()
        if late <= self._job.most_late:
            return None
        return RunEnd(
            status="abandoned",
            failure=f"the run was ended after {self._measured_s():.3g} s, when {late:,} queries exceeded the "
            f"latency bound; at most {self._job.most_late:,} may",
        )

    def _measured_s(self) -> float:
        """From the first query to the last answer."""
        span_ns = self._span_ns()
        return 0.0 if span_ns is None else (span_ns[1] - span_ns[0]) / 1e9

    def _span_ns(self) -> tuple[int, int] | None:
        """When the first query was issued and the last one answered; None without any."""
        issued, latency = self.recording.query("issued_ns"), self.recording.query("latency_ns")
        rows = min(len(issued), len(latency))  # a running child may have added some in between
        if not rows:
            return None
        first, last = int(issued[:rows].min()), int(np.max(issued[:rows] + latency[:rows]))
        span = self._archive.span_ns or (first, last)
        return min(first, span[0]), max(last, span[1])

    def _end(self, process: Interpreter) -> RunEnd:
        code = process.exit_code()
        if "failed" in self._said:
            return self._failed()
        if code < 0:
            return RunEnd(status="killed", failure=_died_of(-code) + _last_lines(process))
        if code or "ended" not in self._said:
            words = f"the serving process ended with exit code {code} and no result."
            return RunEnd(status="failed", failure=words + _last_lines(process))
        return RunEnd(status="ended")

    def _checked(self, settings: Settings, *, total: int) -> RunEnd:
        """Checks that LoadGen used these settings, finished its log, and that the child's memory did not grow."""
        differing = conf.differences(settings, self._job.log_dir, total=total)
        if differing:
            return RunEnd(status="failed", failure="; ".join(differing))
        if not loadgen_log.read(self._job.log_dir).ended:
            return RunEnd(status="failed", failure=f"LoadGen's log in {self._job.log_dir} is cut off")
        if not self._held or settings.mode == "accuracy":  # an accuracy run reads its samples while it runs
            return RunEnd(status="ended")
        start, end = self._held[0], self._held[-1]
        allowed = max(_GROWTH_BYTES, _GROWTH_SHARE * start)
        if end - start - _LOG_BYTES_PER_SAMPLE * self.recording.counter("samples") <= allowed:
            return RunEnd(status="ended")
        return RunEnd(
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
    """The stacks of the process's threads, to follow a sentence.

    This works while all threads are stuck, but only once the process handles the signal.
    """
    if "started" not in process.said:
        return ""
    before = size = process.log.stat().st_size
    process.send_signal(STACKS_SIGNAL)
    deadline = time.perf_counter() + _STACKS_S
    while time.perf_counter() < deadline:
        process.listen(POLL_S / 4)
        last, size = size, process.log.stat().st_size
        if before < last == size:  # all is written
            break
    return ". Its stack at that time:" + _lines(process.log.read_bytes()[before:], last=_STACK_LINES)


def _execution_ns(warmed: Mapping[str, Any] | None) -> dict[Bucket, float]:
    return {Bucket(batch, length): time_ns for batch, length, time_ns in warmed["execution_ns"]} if warmed else {}


def _died_of(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = " The system does this when memory runs out; see `dmesg`." if number == signal.SIGKILL else ""
    return f"the serving process was killed by {name}.{hint}"


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.0f} MB"


def _lines(text: bytes, *, last: int) -> str:
    """The last lines, to follow a sentence."""
    return "".join(f"\n{line}" for line in text.decode(errors="replace").splitlines()[-last:])
