"""Runs the model in every bucket until its time settles, before anything is measured."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures

from tfperf.benchmarks.tensor import Batch
from tfperf.inference.executable import Bucket, Executable
from tfperf.inference.job import ServedModel
from tfperf.inference.real_batches import RealBatches

_LEAST, _MOST = 3, 200
_SETTLED = 0.03
_MOST_S, _ALL_S = 1.0, 20.0  # for one bucket, and for all


def measure(served: ServedModel, batches: RealBatches, *, budget_s: float = _MOST_S) -> dict[Bucket, float]:
    """The median time in ns to stage and run one batch of each bucket, while all instances run such batches.

    Each bucket runs at least three times, then until the median of the later half is within 3 % of the earlier half's,
    or `budget_s` is over. The first half does not count. A bucket that took longer than a larger one is measured again,
    because another program may have disturbed it, and the lower time counts.

    Args:
        served: the model.
        batches: samples for it.
        budget_s: about how many seconds each bucket may take; less if there are many.

    Raises:
        RuntimeError: the model was traced or compiled again for a bucket that had run.
    """
    executable = served.executable
    budget_s = min(budget_s, _ALL_S / len(executable.buckets))
    inputs = {bucket: batches.batch(bucket) for bucket in executable.buckets}
    first = {bucket: _timed_ns(executable, batch) for bucket, batch in inputs.items()}
    traces = served.traces()
    times: dict[Bucket, float] = {}
    for bucket, batch in inputs.items():
        with running(served.copies, batch):
            times[bucket] = _settled_ns(executable, batch, first[bucket], budget_s)
    for bucket in _slower_than_larger(times):
        with running(served.copies, inputs[bucket]):
            times[bucket] = min(times[bucket], _settled_ns(executable, inputs[bucket], first[bucket], budget_s))
    again = served.traces() - traces
    if again:
        raise RuntimeError(
            f"{executable.form} was traced or compiled {again} more times for buckets that had run already, "
            f"{', '.join(map(str, executable.buckets))}. The measurement would include compilation."
        )
    return times


@contextlib.contextmanager
def running(copies: Sequence[Executable], batch: Batch) -> Iterator[None]:
    """Keeps copies of the model running a batch, each in a thread; raises what one of them raised."""
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


def _slower_than_larger(times: Mapping[Bucket, float]) -> list[Bucket]:
    """The buckets that take longer than a larger one of the same length."""
    return [
        bucket
        for bucket, time_ns in times.items()
        if any(other.length == bucket.length and other > bucket and times[other] < time_ns for other in times)
    ]


def _settled_ns(executable: Executable, batch: Batch, first_ns: int, budget_s: float) -> float:
    times = [first_ns]
    end = time.perf_counter() + budget_s
    while len(times) < _LEAST or not (len(times) >= _MOST or time.perf_counter() >= end or _settled(times)):
        times.append(_timed_ns(executable, batch))
    return max(statistics.median(times[len(times) // 2 :]), 1.0)


def _timed_ns(executable: Executable, batch: Batch) -> int:
    start = time.perf_counter_ns()
    executable.run(executable.stage(batch))
    return time.perf_counter_ns() - start


def _settled(times: list[int]) -> bool:
    half = len(times) // 2
    if half < _LEAST:
        return False
    earlier, later = statistics.median(times[:half]), statistics.median(times[half:])
    return abs(later - earlier) <= _SETTLED * earlier
