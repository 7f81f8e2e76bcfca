"""The system under test: what runs inside LoadGen's callbacks, one module for each scenario.

A SUT answers every query exactly once. It reports the first failure once; from then on it answers everything with
nothing, so that LoadGen finishes. Such a run is never valid.
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
        """Takes samples: for each, LoadGen's id and its number in the data set. Raises nothing."""

    def flush(self) -> None:
        """LoadGen issues nothing more for now."""

    def close(self) -> None:
        """Answers what still waits and ends the threads, after the test."""


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
        settings: scenario, and the latency bound in Server.
        served: the model and its responses.
        library: the samples.
        recording: gets a row for each query and execution; in Offline each sample counts as a query.
        complete: gives LoadGen the responses to the samples with these ids; None answers with nothing.
        fail: called once, with the first failure.
        execution_ns: time of one execution by bucket, from the warm-up.
    """
    answers = Answers(recording, complete=complete, fail=fail)
    runner = BatchRunner(served, library, recording)
    match settings.scenario:
        case "SingleStream":
            return SingleStreamSut(runner, answers)
        case "MultiStream":
            return MultiStreamSut(runner, answers)
        case "Offline":
            return OfflineSut(runner, answers, execution_ns=execution_ns)
        case "Server":
            return ServerSut(runner, answers, execution_ns=execution_ns, bound_ns=settings.latency_bound_ns)
