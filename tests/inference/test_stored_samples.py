"""Samples of several lengths in files, in the batches of an executable, and typical of a bucket."""

import pathlib
from typing import Any

import numpy as np
import pytest

from tests.inference.sleeper import Sleeper
from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.errors import UnfitSampleError
from tfperf.inference import stored_samples
from tfperf.inference.executable import Bucket
from tfperf.inference.stored_samples import AnsweredBatch

TENSORS = (Tensor(name="tokens", shape=(None,), padding=-1), Tensor(name="weight", shape=()))
BUCKETS = (Bucket(1, 4), Bucket(2, 4), Bucket(2, 8))


def sample(length: int) -> Sample:
    return np.full(length, length, np.float32), np.array(length, np.float32)


def as_lists(one: Sample) -> list[Any]:
    return [array.tolist() for array in one]


def echo() -> Sleeper:
    """An executable whose output is its first input."""
    executable = Sleeper(0)
    executable.inputs, executable.outputs, executable.buckets = TENSORS, TENSORS[:1], BUCKETS
    return executable


def test_samples_come_back(tmp_path: pathlib.Path) -> None:
    samples = [sample(length) for length in (3, 0, 5)]
    stored_samples.write_samples(tmp_path / "samples", samples)
    found = stored_samples.read_samples(tmp_path / "samples", TENSORS)
    assert [[array.tolist() for array in one] for one in found] == [
        [array.tolist() for array in one] for one in samples
    ]


def test_answers_come_back(tmp_path: pathlib.Path) -> None:
    batches = [
        AnsweredBatch((2, 0), (np.ones((2, 3)), np.zeros(2))),
        AnsweredBatch((1,), (np.ones((1, 4)), np.ones(1))),
    ]
    stored_samples.write_answers(tmp_path / "answers", batches)
    found = list(stored_samples.read_answers(tmp_path / "answers", TENSORS))
    assert [batch.indices for batch in found] == [(2, 0), (1,)]
    assert [batch.outputs[0].shape for batch in found] == [(2, 3), (1, 4)]


def test_answers_samples_in_the_largest_batches_of_their_lengths() -> None:
    executable = echo()
    found = list(stored_samples.answers(executable, [sample(length) for length in (5, 1, 4, 8, 2)]))
    assert [(batch.indices, batch.outputs[0].tolist()) for batch in found] == [
        ((1, 2), [[1, -1, -1, -1], [4, 4, 4, 4]]),
        ((4,), [[2, 2, -1, -1]]),
        ((0, 3), [[5, 5, 5, 5, 5, -1, -1, -1], [8] * 8]),
    ]
    assert executable.runs == 3


def test_refuses_a_sample_that_is_longer_than_all_buckets() -> None:
    with pytest.raises(UnfitSampleError, match=r"^Sample 0 has length 9, and the largest length that"):
        list(stored_samples.answers(echo(), [sample(9)]))


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        pytest.param(Bucket(2, 4), [[3, 3, 3, -1], [2, 2, -1, -1]], id="the longest that fit"),
        pytest.param(Bucket(3, 2), [[2, 2], [1, -1], [2, 2]], id="repeated"),
        pytest.param(Bucket(2, 0), [[], []], id="cut off"),
    ],
)
def test_a_typical_batch(bucket: Bucket, expected: list[list[float]]) -> None:
    samples = [sample(length) for length in (3, 1, 7, 2)]
    batch = stored_samples.typical_batch(samples, echo(), bucket)
    assert batch[0].tolist() == expected
