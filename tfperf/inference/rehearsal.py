"""Measures how fast the Offline SUT answers without LoadGen. With a fast model, handing over batches takes longest.

LoadGen must know in advance how many samples to issue. From the model's time alone, a null model on a busy machine was
expected to be 17 times as fast as it was, and a run of 2 s took 38 s.
"""

from __future__ import annotations

import dataclasses
import pathlib
import queue
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np

from tfperf.benchmarks.benchmark import Ragged
from tfperf.inference import sut
from tfperf.inference.batching import most_efficient
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.real_batches import RealBatches
from tfperf.inference.recording import Recording

# Beside a longer execution the SUT's own time is small: about 0.1 ms per batch, more on a busy machine.
_QUICK_NS = 2e6
_BLOCK = 64  # batches issued at once, at least
_LEAST_BLOCKS = 3
_BUDGET_S = 0.3
_PATIENCE_S = 60.0
_ROWS = 1 << 16  # of its recording: one that is smaller than a batch would take longer to write


def is_needed(settings: Settings, *, execution_ns: Mapping[Bucket, float]) -> bool:
    """Whether the rate is unknown and the model's time alone doesn't predict it."""
    unknown = settings.scenario == "Offline" and settings.mode == "performance" and settings.expected_qps is None
    return unknown and any(execution_ns[bucket] < _QUICK_NS for bucket in most_efficient(execution_ns).values())


def samples_per_s(
    served: ServedModel, batches: RealBatches, settings: Settings, *, execution_ns: Mapping[Bucket, float]
) -> float:
    """The median rate at which the SUT answered blocks of samples, without LoadGen.

    Args:
        served: the model.
        batches: samples for it.
        settings: the settings of an Offline run.
        execution_ns: time of one execution by bucket.

    Raises:
        Exception: whatever the model or `respond` raised.
        TimeoutError: a block took longer than a minute.
    """
    with tempfile.TemporaryDirectory(prefix="tfperf-") as folder:
        recording = Recording.create(pathlib.Path(folder) / "recording", capacity=_ROWS)
    loaded = dict(zip(batches.numbers, batches.samples, strict=True))
    rehearsed = dataclasses.replace(served, load=lambda numbers: [loaded[number] for number in numbers])
    library = SampleLibrary(rehearsed, recording)
    answered: queue.SimpleQueue[int] = queue.SimpleQueue()
    failures: list[BaseException] = []

    def complete(ids: Sequence[int], responses: np.ndarray | Ragged | None) -> None:
        time.sleep(0)  # lets the other thread run, as LoadGen's call does; waiting for it to stop is most of the time
        answered.put(len(ids))

    system = sut.build(
        settings, rehearsed, library, recording, complete=complete, fail=failures.append, execution_ns=execution_ns
    )
    library.load(batches.numbers)
    largest = max(bucket.batch for bucket in most_efficient(execution_ns).values())
    samples = batches.numbers * max(1, _BLOCK * largest // len(batches.numbers))
    times: list[float] = []
    end = time.perf_counter() + _BUDGET_S
    while not failures and (len(times) < _LEAST_BLOCKS or time.perf_counter() < end):
        start = time.perf_counter()
        system.issue(samples, samples)
        _wait(answered, len(samples))
        times.append(time.perf_counter() - start)
    system.close()
    if failures:
        raise failures[0]
    return len(samples) / statistics.median(times)


def _wait(answered: queue.SimpleQueue[int], samples: int) -> None:
    while samples > 0:
        try:
            samples -= answered.get(timeout=_PATIENCE_S)
        except queue.Empty as error:
            raise TimeoutError(f"no batch was answered for {_PATIENCE_S:g} s") from error
