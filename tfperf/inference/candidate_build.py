"""Builds and measures one compiled form in a separate process, which may run out of memory, crash or hang."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
import resource
import statistics
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfperf import spec
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import forms, interpreter, stored_samples
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.interpreter import Interpreter
from tfperf.inference.reports import Reports
from tfperf.system import allocator, memory

if TYPE_CHECKING:
    import keras

_POLL_S = 0.1
_SHARE_OF_MEMORY = 0.9
_MOST_S = 3.0  # for measuring one bucket
_FEWEST, _MOST = 7, 100  # executions, where the time allows
_STEADY = 0.02  # standard error of the median, relative to it


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateBuild:
    """What to build and measure; picklable.

    Attributes:
        form: one of `forms.FORMS`.
        directory: where the form is built and later opened.
        load_model: makes the Keras model; None if the form is already built.
        inputs: the model's inputs.
        outputs: the model's outputs.
        timed: a file of `stored_samples` with at least one sample, to measure with.
        calibrating: such a file with the samples from which int8 forms take their ranges; None if there is none.
        judged: such a file with samples whose outputs are written to `answers`; None writes none.
        buckets: the buckets to measure.
        longest_ns: buckets with a longer execution are left out, except the smallest of each length; None leaves out
            none.
        threads: CPU threads per operation.
        device: the device to serve on, as in `machine.environment`.
    """

    form: str
    directory: pathlib.Path
    load_model: Callable[[], keras.Model] | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    timed: pathlib.Path
    calibrating: pathlib.Path | None = None
    judged: pathlib.Path | None = None
    buckets: tuple[Bucket, ...]
    longest_ns: int | None
    threads: int
    device: spec.Device | None = None

    @property
    def answers(self) -> pathlib.Path:
        """The file of the outputs for the judged samples, as `stored_samples` writes it."""
        return self.directory / "answers"

    @property
    def log(self) -> pathlib.Path:
        """The output of the process and the libraries in it."""
        return self.directory / "log.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuiltCandidate:
    """The measurements of a built form.

    Attributes:
        execution_ns: median time of one execution by bucket, staging included.
        memory_bytes: the peak resident memory of the process.
        reopening_s: how long opening and measuring the form again would take, without building it.
    """

    execution_ns: Mapping[Bucket, float]
    memory_bytes: int
    reopening_s: float


def run(build: CandidateBuild, *, on_progress: Callable[[str], None], timeout_s: float) -> BuiltCandidate:
    """Builds the form, opens it, measures it and writes its outputs to `build.answers`.

    Args:
        build: what to build and measure.
        on_progress: called with the current step.
        timeout_s: the process is killed if it takes longer.

    Raises:
        UnavailableError: the form isn't available, or its process failed, was killed, or took too long or too much
            memory.
    """
    build.directory.mkdir(parents=True, exist_ok=True)
    available = memory.available_bytes()
    limit = None if available is None else int(available * _SHARE_OF_MEMORY)
    deadline = time.monotonic() + timeout_s
    call = interpreter.pickled(functools.partial(_build_and_report, build))
    environment = machine.environment(build.form, cache=build.directory / "compiled", device=build.device)
    try:
        with interpreter.started(call, log=build.log, environment=environment) as process:
            return _watch(process, on_progress, deadline=deadline, limit=limit)
    except TimeoutError as error:
        raise UnavailableError(f"took longer than {timeout_s:g} s") from error


def median_ns(executable: Executable, encoded: Batch, *, most_s: float = _MOST_S) -> float:
    """The median time of one execution on an encoded batch, staging included.

    Repeats until the median is known to about 5 %, but no longer than `most_s`, and at least once.
    """
    times: list[float] = []
    deadline = time.perf_counter() + most_s
    while not times or (not _steady(times) and time.perf_counter() < deadline):
        start = time.perf_counter_ns()
        executable.run(executable.stage(encoded))
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


def _watch(
    process: Interpreter, on_progress: Callable[[str], None], *, deadline: float, limit: int | None
) -> BuiltCandidate:
    while time.monotonic() < deadline:
        for said in process.listen(_POLL_S):
            if said["kind"] == "progress":
                on_progress(said["text"])
        if "built" in process.said:
            return _built(process.said["built"])
        failure = process.failure()
        if failure is not None:
            raise UnavailableError(failure)
        held = memory.held_bytes(process.pid)
        if limit is not None and held is not None and held > limit:
            raise UnavailableError(f"took {_gigabytes(held)} of memory, more than the {_gigabytes(limit)} it may take")
    raise TimeoutError


def _built(said: Mapping[str, Any]) -> BuiltCandidate:
    return BuiltCandidate(
        execution_ns={Bucket(batch, length): time_ns for batch, length, time_ns in said["execution_ns"]},
        memory_bytes=said["memory_bytes"],
        reopening_s=said["reopening_s"],
    )


def _gigabytes(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.1f} GB"


def _build_and_report(build: CandidateBuild, reports: Reports) -> None:
    """Runs in the separate process. Reports `progress` with a text, then `built` with the measurements."""
    try:
        found = _build(build, lambda text: reports.say("progress", text=text))
    except UnavailableError:
        raise
    except Exception as error:
        traceback.print_exc()  # for the log; the reason is one of many in a table
        raise UnavailableError("".join(traceback.format_exception_only(error)).strip()) from error
    reports.say(
        "built",
        execution_ns=[(*bucket, time_ns) for bucket, time_ns in found.execution_ns.items()],
        memory_bytes=found.memory_bytes,
        reopening_s=found.reopening_s,
    )


def _build(build: CandidateBuild, on_progress: Callable[[str], None]) -> BuiltCandidate:
    started = time.monotonic()
    allocator.keep_freed_memory()  # as the process that serves does
    machine.set_up(threads=build.threads, device=build.device)
    timed = stored_samples.read_samples(build.timed, build.inputs)
    starting_s = time.monotonic() - started
    if build.load_model is not None:
        on_progress("building")
        forms.build(
            build.form,
            build.load_model(),
            build.directory,
            inputs=build.inputs,
            outputs=build.outputs,
            calibration=_samples(build.calibrating, build.inputs) if build.form.endswith("-int8") else (),
        )
    begun = time.monotonic()
    on_progress("opening")
    opened = forms.open_form(build.form, build.directory, buckets=build.buckets[:1], threads=build.threads)
    execution_ns = _measure(opened, timed, build.buckets, longest_ns=build.longest_ns, on_progress=on_progress)
    reopening_s = starting_s + time.monotonic() - begun
    if build.load_model is not None and build.judged is not None:
        on_progress("comparing")
        judged = _samples(build.judged, build.inputs)
        stored_samples.write_answers(build.answers, stored_samples.answers(opened, judged))
    return BuiltCandidate(execution_ns=execution_ns, memory_bytes=_peak_bytes(), reopening_s=reopening_s)


def _samples(path: pathlib.Path | None, inputs: tuple[Tensor, ...]) -> Sequence[Sample]:
    return () if path is None else stored_samples.read_samples(path, inputs)


def _measure(
    opened: forms.Opened,
    samples: Sequence[Sample],
    buckets: Sequence[Bucket],
    *,
    longest_ns: int | None,
    on_progress: Callable[[str], None],
) -> dict[Bucket, float]:
    """The median time of each useful bucket; at each length no larger batches once one takes too long."""
    times: dict[Bucket, float] = {}
    too_long: set[int | None] = set()
    for bucket in sorted(buckets):
        if bucket.length in too_long:
            continue
        on_progress(f"measuring batches of {bucket}")
        opened.prepare(bucket)
        taken = median_ns(opened, stored_samples.typical_batch(samples, opened, bucket))
        if longest_ns is not None and taken > longest_ns:
            too_long.add(bucket.length)
            if any(other.length == bucket.length for other in times):
                continue
        times[bucket] = taken
    return times


def _steady(times: Sequence[float]) -> bool:
    """Whether the median is known well enough; for a normal distribution its error is 1.25 * 1.48 * MAD / sqrt(n)."""
    if len(times) < _FEWEST:
        return False
    median = statistics.median(times)
    spread = statistics.median(abs(value - median) for value in times)
    return len(times) >= _MOST or 1.86 * float(spread) / len(times) ** 0.5 < _STEADY * median


def _peak_bytes() -> int:
    """This process's peak of resident memory; on Linux not from getrusage, which counts what the parent held too."""
    status = pathlib.Path("/proc/self/status")
    found = (
        re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE) if status.exists() else None
    )
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
