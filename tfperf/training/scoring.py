"""Quality that is computed on the host, from the predictions for the whole evaluation split."""

from __future__ import annotations

import collections
import contextlib
import struct
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, final

import numpy as np
import tensorflow as tf

from tfperf.benchmarks.benchmark import Scorer

_COUNT = struct.Struct("<q")
_WAITING = 2  # batches that may wait for the scorer: they hold memory of the device


@final
class HostScoring:
    """A scorer and how the workers share what their scorers have seen.

    Args:
        scorer: this worker's.
        gather: this worker's bytes -> those of all workers, in the same order everywhere.

    Attributes:
        scorer: this worker's.
        seconds: how long evaluations have waited for the scorer: at the end for the last batches, then for the metrics.
    """

    def __init__(self, *, scorer: Scorer, gather: Callable[[bytes], Sequence[bytes]] = lambda seen: (seen,)) -> None:
        self.scorer = scorer
        self.seconds = 0.0
        self._gather = gather

    def score(self, batches: Iterator[tuple[Any, Any, Any]]) -> tuple[dict[str, float], int]:
        """The metrics over the batches of all workers, and how many examples count in them.

        The scorer takes a batch in another thread while the next is predicted.

        Args:
            batches: (targets, predictions, weights) of one replica each.
        """
        self.scorer.reset()
        waiting: collections.deque[futures.Future[int]] = collections.deque()
        counted = 0
        with futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="tfperf scorer") as thread:
            for batch in batches:
                waiting.append(thread.submit(self.update, *batch))
                if len(waiting) > _WAITING:
                    with self._measured():
                        counted += waiting.popleft().result()
            with self._measured():
                counted += sum(each.result() for each in waiting)
        return self.result(counted)

    def update(self, targets: Any, predictions: Any, weights: Any) -> int:
        """Hands one replica's batch to the scorer as NumPy arrays; returns how many of its examples count."""
        targets, predictions = (tf.nest.map_structure(_array, part) for part in (targets, predictions))
        count = len(tf.nest.flatten(predictions)[0])
        weights = np.ones(count, "float32") if weights is None else _array(weights)
        self.scorer.update(targets, predictions, weights)
        return int(np.count_nonzero(weights))

    def result(self, counted: int) -> tuple[dict[str, float], int]:
        """The metrics over what all workers have seen, and how many examples that is; waits for the other workers.

        Args:
            counted: the examples that this worker has seen.
        """
        with self._measured():
            seen = self.scorer.seen()
        gathered = self._gather(_COUNT.pack(counted) + seen)
        with self._measured():
            metrics = self.scorer.result([each[_COUNT.size :] for each in gathered])
        examples = sum(_COUNT.unpack_from(each)[0] for each in gathered)
        return {name: float(value) for name, value in metrics.items()}, examples

    def metrics(self) -> tuple[str, ...] | None:
        """The names of the metrics, from scoring an empty set; None for a scorer that can't score one."""
        self.scorer.reset()
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
                return tuple(self.scorer.result([self.scorer.seen()]))
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None  # the first evaluation shows them

    @contextlib.contextmanager
    def _measured(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


def _array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else value
