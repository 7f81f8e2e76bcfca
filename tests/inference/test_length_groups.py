"""The split of samples of different lengths into batches, by made-up times."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tfperf.inference.executable import Bucket
from tfperf.inference.length_groups import Group, LengthGroups

LENGTHS = (64, 128, 256)
SIZES = (1, 2, 4, 8)
PROCESSOR = {Bucket(size, length): 10.0 + size * length for length in LENGTHS for size in SIZES}
GPU = {Bucket(size, length): 1000.0 + size * length / 10 for length in LENGTHS for size in SIZES}


def test_a_processor_pads_nothing() -> None:
    assert LengthGroups(PROCESSOR).of([0, 2, 0, 1, 0]) == (
        Group((1,), Bucket(1, 256), 2),
        Group((3,), Bucket(1, 128), 1),
        Group((0,), Bucket(1, 64), 0),
        Group((2, 4), Bucket(2, 64), 0),
    )


def test_a_gpu_runs_them_all_in_one_batch() -> None:
    assert LengthGroups(GPU).of([0, 2, 0, 1, 0]) == (Group((1, 3, 0, 2, 4), Bucket(8, 256), 2),)


@pytest.mark.parametrize("execution_ns", [PROCESSOR, GPU], ids=["processor", "gpu"])
def test_more_samples_than_the_largest_batch_holds_run_in_several(execution_ns: dict[Bucket, float]) -> None:
    groups = LengthGroups(execution_ns).of([0] * 20)
    assert sorted(itertools.chain(*(group.positions for group in groups))) == list(range(20))
    assert all(len(group.positions) <= group.bucket.batch for group in groups)


def test_takes_the_least_time_of_all_splits() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        times = {bucket: float(random.uniform(1, 10) * bucket.batch) for bucket in PROCESSOR}
        samples = random.integers(0, len(LENGTHS), 6).tolist()
        groups = LengthGroups(times).of(samples)
        for group in groups:
            assert group.length_index == max(samples[position] for position in group.positions)
            assert group.bucket.length == LENGTHS[group.length_index]
        assert sum(times[group.bucket] for group in groups) == pytest.approx(least_ns(times, samples))


def test_a_batch_size_that_was_left_out_at_a_length_is_not_used() -> None:
    times = {bucket: time_ns for bucket, time_ns in GPU.items() if bucket.length != 256 or bucket.batch == 1}
    assert LengthGroups(times).of([2, 2, 1]) == (
        Group((0,), Bucket(1, 256), 2),
        Group((1,), Bucket(1, 256), 2),
        Group((2,), Bucket(1, 128), 1),
    )


def test_a_split_that_was_made_before_takes_no_time() -> None:
    groups = LengthGroups(PROCESSOR)
    samples = [0, 1, 2, 0, 1, 2, 0, 0]
    first = groups.of(samples)
    start = time.process_time()
    for _ in range(1000):
        assert groups.of(samples) == first
    assert time.process_time() - start < 1


def least_ns(times: dict[Bucket, float], samples: list[int]) -> float:
    """The least time over all splits of the samples, sorted, into consecutive batches."""
    ordered = sorted(samples, reverse=True)
    return min(
        sum(
            min(
                (times[Bucket(size, LENGTHS[batch[0]])] for size in SIZES if size >= len(batch)),
                default=math.inf,
            )
            for batch in split
        )
        for split in splits(ordered)
    )


def splits(samples: list[int]) -> Iterator[list[list[int]]]:
    for cuts in itertools.product((False, True), repeat=len(samples) - 1):
        ends = [position + 1 for position, cut in enumerate(cuts) if cut]
        yield [samples[start:end] for start, end in itertools.pairwise([0, *ends, len(samples)])]
