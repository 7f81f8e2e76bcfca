"""One compiled form tried in a process of its own, which may run out of memory, crash or hang."""

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

import numpy as np

from tfperf.inference import forms, interpreter
from tfperf.inference.executable import Executable
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.interpreter import Interpreter
from tfperf.inference.reports import Reports
from tfperf.system import allocator, memory

if TYPE_CHECKING:
    import keras

_POLL_S = 0.1
_SHARE_OF_MEMORY = 0.9
_MOST_S = 3.0  # of measuring one batch size
_FEWEST, _MOST = 7, 100  # executions, where the time allows
_STEADY = 0.02  # standard error of the median, relative to it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What is tried, picklable.

    Attributes:
        form: one of `forms.FORMS`.
        directory: where the form is built, and read from.
        load_model: makes the Keras model; None when the form is built already.
        samples: an .npy file of model inputs, float32 [n, ...], n at least 1.
        batch_sizes: ascending.
        longest_ns: batch sizes beyond the first whose execution takes longer are left out; None leaves out none.
        threads: of one operation.
    """

    form: str
    directory: pathlib.Path
    load_model: Callable[[], keras.Model] | None
    samples: pathlib.Path
    batch_sizes: tuple[int, ...]
    longest_ns: int | None
    threads: int

    @property
    def outputs(self) -> pathlib.Path:
        """The .npy file of the model's outputs for the samples, float32 [n, ...], that a trial leaves."""
        return self.directory / "outputs.npy"

    @property
    def log(self) -> pathlib.Path:
        """What the process and the libraries in it printed."""
        return self.directory / "log.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """How a trial came out.

    Attributes:
        execution_ns: median time of one execution, staging included, by batch size.
        memory_bytes: the process's peak of resident memory.
        reopening_s: what the trial would take again, without building.
    """

    execution_ns: Mapping[int, float]
    memory_bytes: int
    reopening_s: float


def run(trial: Trial, *, on_progress: Callable[[str], None], timeout_s: float) -> Tried:
    """Builds the form, opens it, measures it and leaves its outputs in `trial.outputs`.

    Args:
        trial: what is tried.
        on_progress: called with what is being done.
        timeout_s: the process is killed when it takes longer.

    Raises:
        UnavailableError: the form can't be had, or its process failed, was killed or took too long or too much memory.
    """
    trial.directory.mkdir(parents=True, exist_ok=True)
    available = memory.available_bytes()
    limit = None if available is None else int(available * _SHARE_OF_MEMORY)
    deadline = time.monotonic() + timeout_s
    call = interpreter.pickled(functools.partial(_tried, trial))
    environment = machine.environment(trial.form, trial.directory / "compiled")
    try:
        with interpreter.started(call, log=trial.log, environment=environment) as process:
            return _watch(process, on_progress, deadline=deadline, limit=limit)
    except TimeoutError as error:
        raise UnavailableError(f"took longer than {timeout_s:g} s") from error


def median_ns(executable: Executable, encoded: np.ndarray, *, most_s: float = _MOST_S) -> float:
    """The median time of one execution on encoded samples [b, ...], staging included.

    Repeats until the median is known to about 5 %, but no longer than `most_s`, and at least once.
    """
    times: list[float] = []
    deadline = time.perf_counter() + most_s
    while not times or (not _steady(times) and time.perf_counter() < deadline):
        start = time.perf_counter_ns()
        executable.run(executable.stage(encoded))
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


def outputs_of(executable: Executable, samples: np.ndarray) -> np.ndarray:
    """The outputs for samples [n, ...], n at least 1, in batches of the largest size, the last one filled up."""
    size = executable.batch_sizes[-1]
    chosen = np.minimum(np.arange(-(-len(samples) // size) * size), len(samples) - 1)
    batches = chosen.reshape(-1, size)
    outputs = [executable.run(executable.stage(executable.encode(samples[batch]))) for batch in batches]
    return np.concatenate(outputs)[: len(samples)]


def _watch(process: Interpreter, on_progress: Callable[[str], None], *, deadline: float, limit: int | None) -> Tried:
    while time.monotonic() < deadline:
        for said in process.listen(_POLL_S):
            if said["kind"] == "progress":
                on_progress(said["text"])
        if "tried" in process.said:
            return _tried_of(process.said["tried"])
        failure = process.failure()
        if failure is not None:
            raise UnavailableError(failure)
        held = memory.held_bytes(process.pid)
        if limit is not None and held is not None and held > limit:
            raise UnavailableError(f"took {_gigabytes(held)} of memory, more than the {_gigabytes(limit)} it may take")
    raise TimeoutError


def _tried_of(said: Mapping[str, Any]) -> Tried:
    return Tried(
        execution_ns={int(size): time_ns for size, time_ns in said["execution_ns"].items()},
        memory_bytes=said["memory_bytes"],
        reopening_s=said["reopening_s"],
    )


def _gigabytes(bytes_: int) -> str:
    return f"{bytes_ / 1e9:.1f} GB"


def _tried(trial: Trial, reports: Reports) -> None:
    """In the process: says `progress` with a text, and at last `tried` with what `Tried` holds."""
    try:
        found = _try(trial, lambda text: reports.say("progress", text=text))
    except UnavailableError:
        raise
    except Exception as error:
        traceback.print_exc()  # for the log; the reason is one of many in a table
        raise UnavailableError("".join(traceback.format_exception_only(error)).strip()) from error
    reports.say("tried", **dataclasses.asdict(found))


def _try(trial: Trial, on_progress: Callable[[str], None]) -> Tried:
    started = time.monotonic()
    allocator.keep_freed_memory()  # as the process that serves does
    machine.set_threads(trial.threads)
    samples = np.load(trial.samples, mmap_mode="r")
    starting_s = time.monotonic() - started
    if trial.load_model is not None:
        on_progress("building")
        forms.build(trial.form, trial.load_model(), trial.directory, calibration=samples)
    built = time.monotonic()
    on_progress("opening")
    first, *further = trial.batch_sizes
    opened = forms.open_form(trial.form, trial.directory, batch_sizes=(first,), threads=trial.threads)
    execution_ns = _measure(opened, samples, (first, *further), longest_ns=trial.longest_ns, on_progress=on_progress)
    reopening_s = starting_s + time.monotonic() - built
    if trial.load_model is not None:
        on_progress("comparing")
        np.save(trial.outputs, outputs_of(opened, samples))
    return Tried(execution_ns=execution_ns, memory_bytes=_peak_bytes(), reopening_s=reopening_s)


def _measure(
    opened: forms.Opened,
    samples: np.ndarray,
    batch_sizes: Sequence[int],
    *,
    longest_ns: int | None,
    on_progress: Callable[[str], None],
) -> dict[int, float]:
    times: dict[int, float] = {}
    for size in batch_sizes:
        on_progress(f"measuring batches of {size}")
        opened.prepare(size)
        taken = median_ns(opened, opened.encode(np.resize(samples[:size], (size, *samples.shape[1:]))))
        if times and longest_ns is not None and taken > longest_ns:
            break
        times[size] = taken
        if longest_ns is not None and taken > longest_ns:
            break
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
