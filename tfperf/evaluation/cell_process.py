"""Runs the phases of a combination in a process of its own, which can neither hang nor crash this one."""

from __future__ import annotations

import functools
import pathlib
import pickle
import signal
import time
from collections.abc import Callable, Iterator

from tfperf.errors import FailedRequestError, TimedOutError
from tfperf.evaluation import cell_child, placement, watch
from tfperf.evaluation.cell_child import CellJob
from tfperf.evaluation.loads import Measured
from tfperf.inference import interpreter
from tfperf.inference.interpreter import Interpreter

_POLL_S = 0.1
_GRACE_S = 5.0  # for a process that was interrupted to write what it measured


def measure(
    job: CellJob,
    *,
    log: pathlib.Path,
    on_look: Callable[[str, int], None],
    on_peak: Callable[[float], None],
) -> Iterator[Measured]:
    """The loads of a job as they end; all that were measured, if the process is interrupted or dies.

    Args:
        job: what to measure.
        log: gets the output of the process.
        on_look: called now and then with the load and the requests so far.
        on_peak: called with the most requests per second so far.

    Raises:
        FailedRequestError: the process died.
        TimedOutError: it did nothing for too long.
        KeyboardInterrupt: it was interrupted; what it measured until then was given before.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    call = interpreter.pickled(functools.partial(cell_child.run, job))
    variables = placement.environment(job.model.form, job.model.device, cache=job.folder / "xla")
    with interpreter.started(call, log=log, environment=variables) as process:
        try:
            yield from _until_end(process, job, on_look, on_peak)
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            end = time.perf_counter() + _GRACE_S
            while not process.ended and "ended" not in process.said and time.perf_counter() < end:
                yield from _loads(process.listen(_POLL_S), on_look, on_peak)
            raise
        failure = process.failure()
        if "ended" not in process.said:
            raise FailedRequestError(f"the process of {job.combination} failed: {failure}. Its output is in {log}.")


def _until_end(
    process: Interpreter, job: CellJob, on_look: Callable[[str, int], None], on_peak: Callable[[float], None]
) -> Iterator[Measured]:
    limit_s = watch.FIRST * job.spec.hang_after_s
    heard_s = time.perf_counter()
    while not process.ended and "ended" not in process.said:
        messages = process.listen(_POLL_S)
        yield from _loads(messages, on_look, on_peak)
        now = time.perf_counter()
        heard_s = now if messages else heard_s
        if now - heard_s > limit_s:
            raise TimedOutError(f"the process of {job.combination} did nothing for {limit_s:g} s")


def _loads(
    messages: tuple[object, ...], on_look: Callable[[str, int], None], on_peak: Callable[[float], None]
) -> Iterator[Measured]:
    for message in messages:
        match message:
            case {"kind": "look", "load": str(load), "requests": int(requests)}:
                on_look(load, requests)
            case {"kind": "load", "path": str(path), "peak_per_s": float(peak_per_s)}:
                on_peak(peak_per_s)
                measured = pickle.loads(pathlib.Path(path).read_bytes())  # our own process wrote it
                assert isinstance(measured, Measured)
                yield measured
