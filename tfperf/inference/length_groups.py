"""How samples of different lengths that are answered together are split into batches: as takes the least time.

One batch of them all would pad every sample to the longest. Batches of one length each would be small, which wastes a
GPU. Of the eight windows of a SQuAD query the longest is about twice as long as the mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tfperf.inference.batching import by_length_of
from tfperf.inference.executable import Bucket

_MOST_KEPT = 1 << 14  # splits; eight samples of eight lengths have 6435


class Group(NamedTuple):
    """Samples that run in one batch.

    Attributes:
        positions: their positions among the samples that were given.
        bucket: the bucket that the batch is padded to.
        length_index: index of the bucket's length.
    """

    positions: tuple[int, ...]
    bucket: Bucket
    length_index: int


class _Batch(NamedTuple):
    """A batch of consecutive samples, the longest first."""

    start: int
    stop: int
    bucket: Bucket
    length_index: int


class LengthGroups:
    """Splits samples into batches by the measured times.

    Samples of similar length stay together: sorted by length, the batches are consecutive.
    """

    def __init__(self, execution_ns: Mapping[Bucket, float]) -> None:
        """Prepares the split.

        Args:
            execution_ns: time of one execution by bucket.
        """
        # By the index of the length and the number of samples, so that a query that is not known yet waits little.
        self._quickest = [
            [self._quickest_of(length, times, samples) for samples in range(max(times) + 1)]
            for length, times in by_length_of(execution_ns).items()
        ]
        self._largest = max(bucket.batch for bucket in execution_ns)
        self._split = functools.lru_cache(_MOST_KEPT)(self._split_sorted)

    def of(self, length_indices: Sequence[int]) -> tuple[Group, ...]:
        """The batches, the longest samples first.

        Args:
            length_indices: for each sample, the index of its length among those of the buckets, ascending.
        """
        order = sorted(range(len(length_indices)), key=lambda position: -length_indices[position])
        return tuple(
            Group(tuple(order[batch.start : batch.stop]), batch.bucket, batch.length_index)
            for batch in self._split(tuple(length_indices[position] for position in order))
        )

    def _split_sorted(self, descending: tuple[int, ...]) -> tuple[_Batch, ...]:
        """The split of samples with these length indices with the least time in all, by dynamic programming."""
        best: list[tuple[float, tuple[_Batch, ...]]] = [(0.0, ())]
        for stop in range(1, len(descending) + 1):
            found: tuple[float, tuple[_Batch, ...]] = (math.inf, ())
            for start in range(max(0, stop - self._largest), stop):
                quickest = self._quickest[descending[start]]
                if stop - start >= len(quickest):
                    continue
                time_ns, bucket = quickest[stop - start]
                whole_ns = best[start][0] + time_ns
                if whole_ns < found[0]:
                    found = whole_ns, (*best[start][1], _Batch(start, stop, bucket, descending[start]))
            best.append(found)
        return best[-1][1]

    @staticmethod
    def _quickest_of(length: int | None, times: Mapping[int, float], samples: int) -> tuple[float, Bucket]:
        """The time and the bucket of the quickest batch of a length that holds the samples."""
        return min((time_ns, Bucket(size, length)) for size, time_ns in times.items() if size >= samples)
