"""Runs the model at every batch size until its time settles, before anything is measured."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np

from tfperf.inference.executable import Executable
from tfperf.inference.job import Served

_LEAST, _MOST = 3, 200
_SETTLED = 0.03


def measure(served: Served, *, budget_s: float = 1.0) -> dict[int, float]:
    """The median time in ns of staging and running one batch, by batch size, while all instances run such batches.

    Each batch size runs at least three times, then until the median of the later half is within 3 % of the earlier
    half's, or `budget_s` is over. The first half does not count.

    Raises:
        RuntimeError: the model was traced or compiled again at a batch size that had run.
    """
    executable = served.executable
    inputs = {size: noise(executable, size) for size in executable.batch_sizes}
    first = {size: _timed_ns(executable, batch) for size, batch in inputs.items()}
    traces = served.traces()
    times: dict[int, float] = {}
    for size, batch in inputs.items():
        with _running(served.copies, batch):
            times[size] = _settled_ns(executable, batch, first[size], budget_s)
    again = served.traces() - traces
    if again:
        raise RuntimeError(
            f"{executable.form} was traced or compiled {again} more times at batch sizes that had run already, "
            f"{list(executable.batch_sizes)}. Measured so, it would measure compilation."
        )
    return times


@contextlib.contextmanager
def _running(copies: Sequence[Executable], batch: np.ndarray) -> Iterator[None]:
    """Keeps the copies running the batch, each in a thread; raises what one of them raised."""
    if not copies:
        yield
        return
    over = threading.Event()

    def run(executable: Executable) -> None:
        executable.run(executable.stage(batch))
        while not over.is_set():
            executable.run(executable.stage(batch))

    with futures.ThreadPoolExecutor(len(copies)) as threads:
        running = [threads.submit(run, executable) for executable in copies]
        try:
            yield
        finally:
            over.set()
        for each in running:
            each.result()


def _settled_ns(executable: Executable, batch: np.ndarray, first_ns: int, budget_s: float) -> float:
    times = [first_ns]
    end = time.perf_counter() + budget_s
    while len(times) < _LEAST or not (len(times) >= _MOST or time.perf_counter() >= end or _settled(times)):
        times.append(_timed_ns(executable, batch))
    return max(statistics.median(times[len(times) // 2 :]), 1.0)


def _timed_ns(executable: Executable, batch: np.ndarray) -> int:
    start = time.perf_counter_ns()
    executable.run(executable.stage(batch))
    return time.perf_counter_ns() - start


def _settled(times: list[int]) -> bool:
    half = len(times) // 2
    if half < _LEAST:
        return False
    earlier, later = statistics.median(times[:half]), statistics.median(times[half:])
    return abs(later - earlier) <= _SETTLED * earlier


def noise(executable: Executable, size: int) -> np.ndarray[Any, Any]:
    """Encoded samples of standard normal noise: zeros may take short cuts that images do not."""
    samples = np.random.default_rng(0).standard_normal((size, *executable.input_shape), np.float32)
    return executable.encode(samples)
