"""resnet50_mini with every answer delayed by a share of its service time: a change of known size for compare.

A module that holds `BENCHMARK = slowed(0.1)` is a benchmark that is 10 % slower than resnet50_mini and otherwise the
same; `tools/split_experiment.py` writes such modules.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence

import numpy as np

from tfperf.benchmarks import resnet50
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask, OpenSamples, Ragged, Respond
from tfperf.benchmarks.tensor import Batch

_LONGEST_S = 1.0  # a longer time is a pause between two phases of a run, not a service time


def slowed(share: float) -> Benchmark:
    """resnet50_mini whose answers take longer by a share of their time, spent on the processor.

    The service time of an answer is taken as the time since the previous answer, as in SingleStream and MultiStream.

    Args:
        share: 0.1 for 10 %.
    """
    task = _original()
    return dataclasses.replace(
        resnet50.MINI, inference=dataclasses.replace(task, responder=functools.partial(_responder, share))
    )


def _original() -> InferenceTask:
    task = resnet50.MINI.inference
    assert task is not None
    return task


def _responder(share: float, samples: OpenSamples) -> Respond:
    respond = _original().responder(samples)
    last = time.perf_counter()

    def delayed(outputs: Batch, indices: Sequence[int]) -> np.ndarray | Ragged:
        nonlocal last
        answer = respond(outputs, indices)
        now = time.perf_counter()
        until = now + share * min(now - last, _LONGEST_S)
        while now < until:
            now = time.perf_counter()
        last = now
        return answer

    return delayed
