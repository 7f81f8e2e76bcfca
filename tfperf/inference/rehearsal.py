"""How fast the SUT of Offline answers by itself: with a quick model, handing batches on takes longer than running them.

LoadGen is told beforehand how many samples to issue. By the model's time alone a null model on a busy machine was
expected to answer 17 times as fast as it did, and a run of 2 s took 38.
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

from tfperf.inference import sut
from tfperf.inference.job import Served, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.recording import Recording

# Beside a longer execution the SUT's own time is small: about 0.1 ms for a batch, more on a busy machine.
_QUICK_NS = 2e6
_BLOCK = 64  # batches issued at once
_LEAST_BLOCKS = 3
_BUDGET_S = 0.3
_PATIENCE_S = 60.0


def is_needed(settings: Settings, *, execution_ns: Mapping[int, float]) -> bool:
    """Whether the rate is to be found out and the model's time alone does not tell it."""
    wanted = settings.scenario == "Offline" and settings.mode == "performance" and settings.expected_qps is None
    return wanted and execution_ns[_size(execution_ns)] < _QUICK_NS


def samples_per_s(served: Served, settings: Settings, *, execution_ns: Mapping[int, float]) -> float:
    """The median rate at which the SUT answered blocks of batches of noise, without LoadGen.

    Args:
        served: the model; its samples are not read.
        settings: of an Offline run.
        execution_ns: time of one execution by batch size.

    Raises:
        Exception: whatever the model or `respond` raised.
        TimeoutError: a block took longer than a minute.
    """
    with tempfile.TemporaryDirectory(prefix="tfperf-") as folder:
        recording = Recording.create(pathlib.Path(folder) / "recording", capacity=1)
    size = _size(execution_ns)
    noisy = dataclasses.replace(served, total=size, load=lambda indices: _noise(served, len(indices)))
    library = SampleLibrary(noisy, recording)
    answered: queue.SimpleQueue[int] = queue.SimpleQueue()
    failures: list[BaseException] = []

    def complete(ids: Sequence[int], responses: np.ndarray | None) -> None:
        time.sleep(
            0
        )  # lets the other thread run, as LoadGen's own call does: waiting for it to stop is most of the time
        answered.put(len(ids))

    rehearsed = sut.build(
        settings, noisy, library, recording, complete=complete, fail=failures.append, execution_ns=execution_ns
    )
    library.load(range(size))
    samples = list(range(size)) * _BLOCK
    times: list[float] = []
    end = time.perf_counter() + _BUDGET_S
    while not failures and (len(times) < _LEAST_BLOCKS or time.perf_counter() < end):
        start = time.perf_counter()
        rehearsed.issue(samples, samples)
        _wait(answered, len(samples))
        times.append(time.perf_counter() - start)
    rehearsed.close()
    if failures:
        raise failures[0]
    return len(samples) / statistics.median(times)


def _wait(answered: queue.SimpleQueue[int], samples: int) -> None:
    while samples > 0:
        try:
            samples -= answered.get(timeout=_PATIENCE_S)
        except queue.Empty as error:
            raise TimeoutError(f"no batch was answered for {_PATIENCE_S:g} s") from error


def _size(execution_ns: Mapping[int, float]) -> int:
    """The batch size with the most samples a second, which Offline runs."""
    return max(execution_ns, key=lambda size: size / execution_ns[size])


def _noise(served: Served, samples: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((samples, *served.executable.input_shape), np.float32)
