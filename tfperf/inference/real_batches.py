"""Batches of real samples for the warm-up and the rehearsal.

Noise would not do: token ids must be within the vocabulary, and a network with early exits or with non-maximum
suppression takes as long as its input makes it.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tfperf.benchmarks.tensor import Batch, Sample, batch_of
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel
from tfperf.inference.library import length_index_of, lengths_of

_FEWEST, _MOST = 8, 64  # samples
_MOST_OF_SEVERAL_LENGTHS = 256  # so that the shares of the lengths are known to a few percent


class RealBatches:
    """Some samples of the evaluation set, evenly spaced, and batches of them.

    Attributes:
        numbers: the samples' numbers in the data set.
        samples: the samples.
        length_shares: share of the samples that run at each length; {None: 1.0} where samples have none.
    """

    def __init__(self, served: ServedModel) -> None:
        """Loads the samples.

        Raises:
            UnfitSampleError: a sample does not fit the model's inputs.
            ValueError: there are too few samples.
        """
        self._executable = served.executable
        self._lengths = lengths_of(served.executable)
        largest = max(bucket.batch for bucket in served.executable.buckets)
        most = min(_MOST, max(_FEWEST, largest)) if len(self._lengths) == 1 else _MOST_OF_SEVERAL_LENGTHS
        self.numbers: list[int] = np.unique(np.linspace(0, served.total - 1, most, dtype=int)).tolist()
        self.samples: Sequence[Sample] = served.load(self.numbers)
        self._of_length: dict[int, list[Sample]] = {}
        for number, sample in zip(self.numbers, self.samples, strict=True):
            index = length_index_of(sample, number, self._executable.inputs, self._lengths)
            self._of_length.setdefault(index, []).append(sample)
        counts = collections.Counter({self._lengths[index]: len(found) for index, found in self._of_length.items()})
        self.length_shares: Mapping[int | None, float] = {
            length: counts[length] / len(self.samples) for length in self._lengths
        }

    def batch(self, bucket: Bucket) -> Batch:
        """An encoded batch for a bucket: samples of its length, repeated as needed.

        Without any of its length, it takes shorter ones, which are padded, or else cuts longer ones.
        """
        inputs, index = self._executable.inputs, self._lengths.index(bucket.length)
        nearest = [*range(index, -1, -1), *range(index + 1, len(self._lengths))]
        samples = next(self._of_length[each] for each in nearest if each in self._of_length)
        chosen = list(itertools.islice(itertools.cycle(samples), bucket.batch))
        cut = [
            tuple(
                array[tuple(map(slice, tensor.at(bucket.length)))] for array, tensor in zip(sample, inputs, strict=True)
            )
            for sample in chosen
        ]
        return self._executable.encode(batch_of(cut, inputs, length=bucket.length))
