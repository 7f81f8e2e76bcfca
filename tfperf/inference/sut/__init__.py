"""The system under test (SUT): what runs inside LoadGen's callbacks, one module for each scenario.

A SUT answers every query exactly once. It reports only the first failure. After that it completes every query with an
empty response, so that LoadGen finishes. Such a run is never valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from tfperf.benchmarks.benchmark import Ragged
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.recording import Recording
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.batch_runner import BatchRunner
from tfperf.inference.sut.multi_stream import MultiStreamSut
from tfperf.inference.sut.offline import OfflineSut
from tfperf.inference.sut.server import ServerSut
from tfperf.inference.sut.single_stream import SingleStreamSut


class Sut(Protocol):
    """The interface that LoadGen calls."""

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Accepts samples: LoadGen's id of each, and its number in the data set. Never raises."""

    def flush(self) -> None:
        """LoadGen calls this when it issues nothing more for now."""

    def close(self) -> None:
        """Answers the samples that still wait and ends the threads. Called after the test."""


def build(
    settings: Settings,
    served: ServedModel,
    library: SampleLibrary,
    recording: Recording,
    *,
    complete: Callable[[Sequence[int], np.ndarray | Ragged | None], None],
    fail: Callable[[BaseException], None],
    execution_ns: Mapping[Bucket, float],
) -> Sut:
    """Builds the SUT for the settings' scenario. Build it before the library is loaded.

    Args:
        settings: LoadGen's settings, for the scenario and, in Server, the latency bound.
        served: the executable, and the function that turns its outputs into responses.
        library: the samples in memory.
        recording: gets a row for each query and each execution; in Offline each sample counts as a query.
        complete: gives LoadGen the responses to the samples with these ids; None gives empty responses.
        fail: called once, with the first failure.
        execution_ns: time of one execution by bucket, from the warm-up.
    """
    answers = Answers(recording, complete=complete, fail=fail)
    runner = BatchRunner(served, library, recording)
    match settings.scenario:
        case "SingleStream":
            return SingleStreamSut(runner, answers)
        case "MultiStream":
            return MultiStreamSut(runner, answers, execution_ns=execution_ns)
        case "Offline":
            return OfflineSut(runner, answers, execution_ns=execution_ns)
        case "Server":
            return ServerSut(runner, answers, execution_ns=execution_ns, bound_ns=settings.latency_bound_ns)
