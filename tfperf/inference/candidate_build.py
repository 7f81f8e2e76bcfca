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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tfperf import spec
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import forms, interpreter, objective, stored_samples, warm_up
from tfperf.inference.batching import by_length_of
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.interpreter import Interpreter
from tfperf.inference.reports import Reports
from tfperf.inference.stored_samples import AnsweredBatch
from tfperf.system import allocator, memory

if TYPE_CHECKING:
    import keras

_POLL_S = 0.1
_SHARE_OF_MEMORY = 0.9
_MOST_S = 3.0  # for measuring one bucket
_ALL_S = 60.0  # for measuring all buckets, but for the first execution of each
_FEWEST, _MOST = 7, 100  # executions, where the time allows
_STEADY = 0.02  # standard error of the median, relative to it
_REPEATS = 2  # of a measurement that would leave out a batch size
_CERTAINLY = 1.5  # a batch size is left out unmeasured if the smaller ones foretell this multiple of the limit
_MUCH_SLOWER = 1.5  # at the commonest length: such a form is measured no further
_HARDLY_LESS_EFFICIENT = 1.1
_COMPARING_S = 30.0  # for the judged samples; a slow form answers fewer of them
_CHUNK = 8  # of them, at least


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rival:
    """The best form so far.

    Attributes:
        form: its name.
        execution_ns: its median time of one execution by bucket.
        scenario: how samples arrive, which decides what is slower.
    """

    form: str
    execution_ns: Mapping[Bucket, float]
    scenario: spec.Scenario


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
        judged: such a file with samples whose outputs are written to `answers`, as many of the first as a time allows;
            None writes none.
        buckets: the buckets to measure.
        longest_ns: buckets with a longer execution are left out, except the smallest of each length; None leaves out
            none.
        threads: CPU threads per operation.
        instances: copies that run at the same time while the form is measured.
        device: the device to serve on, as in `machine.environment`.
        length_shares: the share of the samples that is padded to each length; the commonest is measured first.
        rival: a form that is much slower than this one at the commonest length is measured no further and answers
            nothing; None measures all.
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
    instances: int = 1
    device: spec.Device | None = None
    length_shares: Mapping[int | None, float] | None = None
    rival: Rival | None = None

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
        too_long_ns: about such a time of each bucket that was left out.
        memory_bytes: the peak resident memory of the process.
        reopening_s: how long opening and measuring the form again would take, without building it.
        much_slower: why the form was measured no further; empty if all buckets were.
    """

    execution_ns: Mapping[Bucket, float]
    memory_bytes: int
    reopening_s: float
    too_long_ns: Mapping[Bucket, float] = dataclasses.field(default_factory=dict)
    much_slower: str = ""


def run(build: CandidateBuild, *, on_progress: Callable[[str], None], timeout_s: float) -> BuiltCandidate:
    """Builds the form, opens it, measures it and writes its outputs to `build.answers`.

    Args:
        build: what to build and measure.
        on_progress: called with the current step.
        timeout_s: the process is killed if it reports nothing for longer: no step, no bucket, no answers.

    Raises:
        UnavailableError: the form isn't available, or its process failed, was killed, or took too long or too much
            memory.
    """
    build.directory.mkdir(parents=True, exist_ok=True)
    available = memory.available_bytes()
    limit = None if available is None else int(available * _SHARE_OF_MEMORY)
    call = interpreter.pickled(functools.partial(_build_and_report, build))
    environment = machine.environment(build.form, cache=build.directory / "compiled", device=build.device)
    try:
        with interpreter.started(call, log=build.log, environment=environment) as process:
            return _watch(process, on_progress, timeout_s=timeout_s, limit=limit)
    except TimeoutError as error:
        raise UnavailableError(f"{error} took longer than {timeout_s:,.0f} s") from error


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
    process: Interpreter, on_progress: Callable[[str], None], *, timeout_s: float, limit: int | None
) -> BuiltCandidate:
    step, heard = "starting", time.monotonic()
    while time.monotonic() < heard + timeout_s:
        for said in process.listen(_POLL_S):
            heard = time.monotonic()
            if said["kind"] == "progress":
                step = said["text"]
                on_progress(step)
        if "built" in process.said:
            return _built(process.said["built"])
        failure = process.failure()
        if failure is not None:
            raise UnavailableError(failure)
        held = memory.held_bytes(process.pid)
        if limit is not None and held is not None and held > limit:
            raise UnavailableError(f"took {_gigabytes(held)} of memory, more than the {_gigabytes(limit)} it may take")
    raise TimeoutError(step)


def _built(said: Mapping[str, Any]) -> BuiltCandidate:
    return BuiltCandidate(
        execution_ns=_times(said["execution_ns"]),
        too_long_ns=_times(said["too_long_ns"]),
        memory_bytes=said["memory_bytes"],
        reopening_s=said["reopening_s"],
        much_slower=said["much_slower"],
    )


def _times(said: Sequence[tuple[int, int | None, float]]) -> dict[Bucket, float]:
    return {Bucket(batch, length): time_ns for batch, length, time_ns in said}


def _gigabytes(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.1f} GB"


def _build_and_report(build: CandidateBuild, reports: Reports) -> None:
    """Runs in the separate process. Reports `progress` with a text, then `built` with the measurements."""
    try:
        found = _build(build, reports)
    except UnavailableError:
        raise
    except Exception as error:
        traceback.print_exc()  # for the log; the reason is one of many in a table
        raise UnavailableError("".join(traceback.format_exception_only(error)).strip()) from error
    reports.say(
        "built",
        execution_ns=[(*bucket, time_ns) for bucket, time_ns in found.execution_ns.items()],
        too_long_ns=[(*bucket, time_ns) for bucket, time_ns in found.too_long_ns.items()],
        memory_bytes=found.memory_bytes,
        reopening_s=found.reopening_s,
        much_slower=found.much_slower,
    )


def _build(build: CandidateBuild, reports: Reports) -> BuiltCandidate:
    def on_progress(text: str) -> None:
        reports.say("progress", text=text)

    started = time.monotonic()
    allocator.keep_freed_memory()  # as the process that serves does
    machine.set_up(threads=build.threads, instances=build.instances, device=build.device)
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
    opened, *copies = forms.open_forms(
        build.form, build.directory, buckets=build.buckets[:1], threads=build.threads, instances=build.instances
    )
    times = _measure(
        opened,
        timed,
        build.buckets,
        longest_ns=build.longest_ns,
        on_progress=on_progress,
        copies=copies,
        length_shares=build.length_shares,
        rival=build.rival,
    )
    reopening_s = starting_s + time.monotonic() - begun
    if build.load_model is not None and build.judged is not None and not times.much_slower:
        on_progress("comparing")
        answered = _answers(
            opened,
            _samples(build.judged, build.inputs),
            batch_sizes=_smallest_efficient(times.useful),
            on_answers=lambda: reports.say("answered"),
        )
        stored_samples.write_answers(build.answers, answered)
    return BuiltCandidate(
        execution_ns=times.useful,
        too_long_ns=times.too_long,
        memory_bytes=_peak_bytes(),
        reopening_s=reopening_s,
        much_slower=times.much_slower,
    )


def _samples(path: pathlib.Path | None, inputs: tuple[Tensor, ...]) -> Sequence[Sample]:
    return () if path is None else stored_samples.read_samples(path, inputs)


def _answers(
    opened: forms.Opened,
    samples: Sequence[Sample],
    *,
    batch_sizes: Mapping[int | None, int],
    on_answers: Callable[[], None],
    most_s: float = _COMPARING_S,
) -> Iterator[AnsweredBatch]:
    """The outputs for the samples in order, a few at a time, until there are no more or the time is over."""
    chunk = max(_CHUNK, sum(batch_sizes.values()))
    deadline = time.monotonic() + most_s
    for start in range(0, len(samples), chunk):
        if start and time.monotonic() >= deadline:
            return
        some = samples[start : start + chunk]
        for indices, outputs in stored_samples.answers(opened, some, batch_sizes=batch_sizes):
            yield AnsweredBatch(tuple(start + index for index in indices), outputs)
            on_answers()


def _smallest_efficient(execution_ns: Mapping[Bucket, float]) -> dict[int | None, int]:
    """The smallest batch size at each length that takes hardly more time for a sample than the best."""
    return {
        length: next(
            size
            for size, time_ns in times.items()
            if time_ns / size <= _HARDLY_LESS_EFFICIENT * min(other / many for many, other in times.items())
        )
        for length, times in by_length_of(execution_ns).items()
    }


class _Times(NamedTuple):
    """The median time by bucket, of those that are useful and of those that take too long.

    `much_slower` is why not all of them were measured, if so.
    """

    useful: dict[Bucket, float]
    too_long: dict[Bucket, float]
    much_slower: str = ""


def _measure(
    opened: forms.Opened,
    samples: Sequence[Sample],
    buckets: Sequence[Bucket],
    *,
    longest_ns: int | None,
    on_progress: Callable[[str], None],
    copies: Sequence[forms.Opened] = (),
    length_shares: Mapping[int | None, float] | None = None,
    rival: Rival | None = None,
) -> _Times:
    """The median time of each useful bucket, the commonest length first.

    At each length larger batches are left out once one takes too long.
    """
    shares = length_shares or {}
    lengths = sorted({bucket.length for bucket in buckets}, key=lambda length: (-shares.get(length, 0.0), length or 0))
    most_s = min(_MOST_S, _ALL_S / len(buckets))

    def measured_ns(bucket: Bucket) -> float:
        on_progress(f"measuring batches of {bucket}")
        return _measured_ns(opened, samples, bucket, longest_ns=longest_ns, most_s=most_s, copies=copies)

    times = _Times({}, {})
    for length in lengths:
        _measure_length(times, sorted(bucket for bucket in buckets if bucket.length == length), measured_ns, longest_ns)
        if rival is not None and len(lengths) > 1 and length == lengths[0]:
            slower = _slower(times.useful, rival, length)
            for _ in range(_REPEATS):
                if slower > _MUCH_SLOWER:
                    times.useful.update(
                        {each: min(time_ns, measured_ns(each)) for each, time_ns in times.useful.items()}
                    )
                    slower = _slower(times.useful, rival, length)
            if slower > _MUCH_SLOWER:
                reason = (
                    f"takes {slower:.2f} times as long as {rival.form} at length {length}, and was measured no further"
                )
                return times._replace(much_slower=reason)
    return _Times(dict(sorted(times.useful.items())), dict(sorted(times.too_long.items())))


def _measure_length(
    times: _Times, buckets: Sequence[Bucket], measured_ns: Callable[[Bucket], float], longest_ns: int | None
) -> None:
    """Adds the times of the buckets of one length, ascending, up to the first that takes too long.

    One that would certainly take too long, by the times of the smaller ones, is not run. The best of several
    measurements decides that, too.
    """
    found: dict[int, float] = {}
    for bucket in buckets:
        time_ns = _foretold_ns(found, bucket.batch)
        for _ in range(_REPEATS):
            if longest_ns is not None and time_ns > _CERTAINLY * longest_ns:
                largest = max(found)
                found[largest] = min(found[largest], measured_ns(bucket._replace(batch=largest)))
                time_ns = _foretold_ns(found, bucket.batch)
        if longest_ns is None or time_ns <= _CERTAINLY * longest_ns:
            time_ns = measured_ns(bucket)
        too_long = longest_ns is not None and time_ns > longest_ns
        if too_long and found:
            times.too_long[bucket] = time_ns
        else:
            found[bucket.batch] = time_ns
        if too_long:
            break
    times.useful.update({Bucket(size, buckets[0].length): time_ns for size, time_ns in found.items()})


def _measured_ns(
    opened: forms.Opened,
    samples: Sequence[Sample],
    bucket: Bucket,
    *,
    longest_ns: int | None,
    most_s: float,
    copies: Sequence[forms.Opened],
) -> float:
    """The median time of one execution. The best of several measurements decides that it takes too long.

    Another program may disturb one of them.
    """
    for each in (opened, *(copy for copy in copies if copy is not opened)):
        if bucket not in each.buckets:
            each.prepare(bucket)
    batch = stored_samples.typical_batch(samples, opened, bucket)
    with warm_up.running(copies, batch):
        taken = median_ns(opened, batch, most_s=most_s)
        for _ in range(_REPEATS):
            if longest_ns is not None and taken > longest_ns:
                taken = min(taken, median_ns(opened, batch, most_s=most_s))
    return taken


def _foretold_ns(times: Mapping[int, float], size: int) -> float:
    """The time of a larger batch by a straight line through the two largest so far; 0 if there are not two."""
    if len(times) < 2:
        return 0.0
    (smaller, smaller_ns), (larger, larger_ns) = sorted(times.items())[-2:]
    return larger_ns + (larger_ns - smaller_ns) / (larger - smaller) * (size - larger)


def _slower(execution_ns: Mapping[Bucket, float], rival: Rival, length: int | None) -> float:
    """How many times as long as the rival a form takes in the scenario, at one length."""
    own, other = (
        {bucket: time_ns for bucket, time_ns in times.items() if bucket.length == length}
        for times in (execution_ns, rival.execution_ns)
    )
    return objective.cost_ns(rival.scenario, own) / objective.cost_ns(rival.scenario, other) if other else 0.0


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
