"""Quality that is computed on the host, from the predictions for the whole evaluation split."""

from __future__ import annotations

import dataclasses
import struct
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfperf.benchmarks.benchmark import Scorer

_COUNT = struct.Struct("<q")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostScoring:
    """A scorer and how the workers share what their scorers have seen.

    Attributes:
        scorer: this worker's.
        gather: this worker's bytes -> those of all workers, in the same order everywhere.
    """

    scorer: Scorer
    gather: Callable[[bytes], Sequence[bytes]] = lambda seen: (seen,)

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
        gathered = self.gather(_COUNT.pack(counted) + self.scorer.seen())
        metrics = self.scorer.result([seen[_COUNT.size :] for seen in gathered])
        examples = sum(_COUNT.unpack_from(seen)[0] for seen in gathered)
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


def _array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else value
