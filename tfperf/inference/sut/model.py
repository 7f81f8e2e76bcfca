"""One batch through the model: collated, staged, run, its responses made and its execution recorded."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfperf.inference.job import Served
from tfperf.inference.library import SampleLibrary
from tfperf.inference.recording import Recording


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """A batch that is ready to run.

    Attributes:
        inputs: as the executable takes them.
        samples: real samples in it, which come first.
        size: the batch size, padding included.
        staging_ns: what collating and staging took.
    """

    inputs: Any
    samples: int
    size: int
    staging_ns: int


class Model:
    """What a SUT runs.

    Attributes:
        served: the executable and how its outputs become responses.
        library: the samples.
        recording: gets a row for each execution.
        largest: the largest batch size.
        instances: of the executable; `compute` may run at once in as many threads, each with a number of its own.
    """

    def __init__(self, served: Served, library: SampleLibrary, recording: Recording) -> None:
        self.served, self.library, self.recording = served, library, recording
        self.largest = served.executable.batch_sizes[-1]
        self.instances = len(served.instances)
        self._run = [instance.run for instance in served.instances]
        self._executions = 0
        self._recorded = threading.Lock()

    def buffer(self) -> np.ndarray:
        """Memory to collate in: one is busy from `stage` until `compute` returns."""
        executable = self.served.executable
        return np.empty((self.largest, *executable.input_shape), executable.input_dtype)

    def size_for(self, samples: int) -> int:
        """The smallest batch size that holds the samples, or the largest there is."""
        return next((size for size in self.served.executable.batch_sizes if size >= samples), self.largest)

    def stage(self, rows: np.ndarray, *, size: int, buffer: np.ndarray) -> Staged:
        """Collates rows of the library, intp [n], into a batch of `size` >= n, padded with its first sample."""
        start = time.perf_counter_ns()
        samples = len(rows)
        if samples == size == 1:
            batch = self.library.inputs[rows[0] : rows[0] + 1]
        else:
            batch = buffer[:size]
            # With "raise" numpy would collate into a buffer of its own first; `rows_of` has checked the rows.
            np.take(self.library.inputs, rows, axis=0, out=batch[:samples], mode="clip")
            batch[samples:] = batch[0]
        inputs = self.served.executable.stage(batch)
        return Staged(inputs=inputs, samples=samples, size=size, staging_ns=time.perf_counter_ns() - start)

    def compute(self, staged: Staged, *, instance: int = 0) -> tuple[np.ndarray, int]:
        """The responses [samples, k] of the batch, and when its execution started.

        Args:
            staged: by `stage`; all instances take the same.
            instance: which one runs it.

        Raises:
            ValueError: the model or `respond` gave another number of rows than it should.
        """
        started_ns = time.perf_counter_ns()
        outputs = self._run[instance](staged.inputs)
        compute_ns = time.perf_counter_ns() - started_ns
        if len(outputs) != staged.size:
            raise wrong_rows("The model", expected=staged.size, got=len(outputs))
        responses = self.served.respond(outputs[: staged.samples])
        if len(responses) != staged.samples:
            raise wrong_rows("`respond`", expected=staged.samples, got=len(responses))
        self._record(started_ns, staged.staging_ns, compute_ns, staged.samples)
        return responses, started_ns

    def _record(self, *row: int) -> None:
        with self._recorded:
            if self._executions < self.recording.capacity:
                for column, value in zip(self.recording.executions, row, strict=True):
                    column[self._executions] = value
            self._executions += 1
            self.recording.head[Recording.executions_word] = self._executions


def wrong_rows(who: str, *, expected: int, got: int) -> ValueError:
    """The error of outputs that do not match what went in."""
    rows = "1 row" if expected == 1 else f"{expected} rows"
    return ValueError(f"{who} must give {rows} for a batch of {expected}, got {got}.")


def chunks(samples: Sequence[int], size: int) -> list[slice]:
    """Places of consecutive batches of `size`; the last may be shorter."""
    return [slice(start, min(start + size, len(samples))) for start in range(0, len(samples), size)]
