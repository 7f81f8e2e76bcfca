"""The system under test: what runs inside LoadGen's callbacks, one module for each scenario.

Each answers every query exactly once. After the first failure, which is told once, what was affected and everything
that comes later is answered with nothing, so that LoadGen comes to its end; such a run is never valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from tfperf.inference.job import Served, Settings
from tfperf.inference.library import SampleLibrary
from tfperf.inference.recording import Recording
from tfperf.inference.sut import multi_stream, offline, server, single_stream
from tfperf.inference.sut.answers import Answers
from tfperf.inference.sut.model import Model


class Sut(Protocol):
    """What LoadGen calls."""

    def issue(self, ids: list[int], indices: list[int]) -> None:
        """Takes samples: LoadGen's id and the number in the data set of each. Raises nothing."""

    def flush(self) -> None:
        """LoadGen has no more to issue for now."""

    def close(self) -> None:
        """Ends the threads once the test has ended; what still waits is answered first."""


def build(
    settings: Settings,
    served: Served,
    library: SampleLibrary,
    recording: Recording,
    *,
    complete: Callable[[Sequence[int], np.ndarray | None], None],
    fail: Callable[[BaseException], None],
    execution_ns: Mapping[int, float],
) -> Sut:
    """The SUT of the settings' scenario; to be built before the library is loaded.

    Args:
        settings: which scenario, and the bound of Server.
        served: the model, and how its outputs become responses.
        library: the samples.
        recording: gets a row for each query and execution; in Offline a sample counts as a query.
        complete: gives LoadGen the responses [n, k] to the samples with these ids; None answers with nothing.
        fail: is told the first failure, once.
        execution_ns: time of one execution by batch size, from the warm-up.
    """
    answers = Answers(recording, complete=complete, fail=fail)
    model = Model(served, library, recording)
    match settings.scenario:
        case "SingleStream":
            return single_stream.SingleStream(model, answers)
        case "MultiStream":
            return multi_stream.MultiStream(model, answers)
        case "Offline":
            return offline.Offline(model, answers, execution_ns=execution_ns)
        case "Server":
            return server.Server(model, answers, execution_ns=execution_ns, bound_ns=settings.latency_bound_ns)
