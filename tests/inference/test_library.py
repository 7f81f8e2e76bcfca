"""The sample library holds encoded samples by number."""

import dataclasses

import numpy as np
import pytest

from tfperf.benchmarks.tensor import Tensor
from tfperf.errors import TfperfError, UnfitSampleError
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel
from tfperf.inference.library import BLOCK, SampleLibrary
from tfperf.inference.recording import Recording
from tfperf.system import memory


@dataclasses.dataclass
class Halves:
    """A model whose samples are kept as int8 halves of their values."""

    form: str = "halves"
    inputs: tuple = (Tensor(name="numbers", shape=(3,)),)
    outputs: tuple = (Tensor(name="halves", shape=(3,)),)
    buckets: tuple = (Bucket(1), Bucket(4))
    encoded: tuple = (np.dtype(np.int8),)
    threads: int = 1
    host_memory: bool = True

    def encode(self, batch):
        return tuple((array / 2).astype(np.int8) for array in batch)

    def stage(self, batch):
        return tuple(array.copy() for array in batch)

    def run(self, staged):
        return tuple(array.astype(np.float32) for array in staged)

    def traces(self):
        return 0


def samples_of(numbers):
    return [(np.array([2 * number, 2 * number, 0], np.float32),) for number in numbers]


WITH_LENGTHS = Halves(
    inputs=(Tensor(name="numbers", shape=(None,), padding=-2), Tensor(name="pairs", shape=(None, None))),
    buckets=tuple(Bucket(size, length) for length in (2, 4) for size in (1, 4)),
    encoded=(np.dtype(np.int8), np.dtype(np.int8)),
)


def samples_with_length(numbers):
    """Sample n has length n % 4 + 1."""
    return [
        (np.full(n % 4 + 1, 2 * n, np.float32), np.full((n % 4 + 1, n % 4 + 1), 2 * n + 2, np.float32)) for n in numbers
    ]


@pytest.fixture
def recording(tmp_path):
    return Recording.create(tmp_path / "recording", capacity=8)


def served(load=samples_of, total=100, executable=None):
    return ServedModel(
        executable=executable or Halves(), total=total, load=load, respond=lambda outputs, indices: outputs[0]
    )


def test_keeps_encoded_samples_by_number_and_counts_them(recording):
    sizes = []

    def load(numbers):
        sizes.append(len(numbers))
        return samples_of(numbers)

    held = SampleLibrary(served(load), recording)
    numbers = list(range(99, 99 - BLOCK - 8, -1))
    held.load(numbers)
    assert sizes == [BLOCK, 8]
    ((array,),) = held.arrays
    assert array.dtype == np.int8
    np.testing.assert_array_equal(array[held.rows_of([70, 99, 70])][:, 0], [70, 99, 70])
    batch = (np.zeros((4, 3), np.int8),)
    held.collate(held.rows_of([70, 99, 70]), batch, length_index=0)
    np.testing.assert_array_equal(batch[0], [[70, 70, 0], [99, 99, 0], [70, 70, 0], [0, 0, 0]])
    assert (recording.counter("loaded"), recording.counter("to_load")) == (BLOCK + 8, BLOCK + 8)


@pytest.mark.parametrize("host_memory", [True, False])
def test_makes_every_sample_ready_after_keep_ready(host_memory, recording):
    held = SampleLibrary(served(executable=Halves(host_memory=host_memory)), recording)
    held.keep_ready({None: 4})
    held.load([5, 7])
    np.testing.assert_array_equal(held.ready[7], [[[7, 7, 0]] * 4])
    assert held.ready[6] is None


def test_unloading_frees_the_memory_and_another_set_can_be_loaded(recording):
    held = SampleLibrary(served(), recording)
    held.keep_ready({None: 1})
    held.load([1, 2])
    held.unload([1, 2])
    assert len(held.arrays[0][0]) == 0
    assert held.ready[1] is None
    held.load([3])
    np.testing.assert_array_equal(held.arrays[0][0][held.rows_of([3])], [[3, 3, 0]])


def test_a_sample_that_is_not_loaded_is_an_error(recording):
    held = SampleLibrary(served(), recording)
    held.load([1, 2])
    with pytest.raises(ValueError, match=r"^2 of 3 samples are not loaded, sample 8 first\.$"):
        held.rows_of([1, 8, 9])


def test_too_few_samples_are_an_error(recording):
    held = SampleLibrary(served(lambda numbers: samples_of(numbers[1:])), recording)
    with pytest.raises(ValueError, match=r"^Loading 2 samples must give 2 samples, got 1\. Look at the benchmark's"):
        held.load([1, 2])


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (np.zeros(4, np.float32), "numbers must be float32 [3], got float32 [4]."),
        (np.zeros(3, np.float64), "numbers must be float32 [3], got float64 [3]."),
    ],
)
def test_a_sample_that_does_not_fit_the_model_is_named_with_its_tensor(sample, message, recording):
    held = SampleLibrary(served(lambda numbers: [(sample,)] * len(numbers)), recording)
    with pytest.raises(UnfitSampleError) as error:
        held.load([7, 8])
    assert str(error.value) == (
        f"Sample 7 does not fit the model: {message} Look at the benchmark's `open_samples` and `inputs`."
    )


def test_keeps_samples_of_one_length_together_padded_as_the_model_takes_them(recording):
    held = SampleLibrary(served(samples_with_length, executable=WITH_LENGTHS), recording)
    held.load([3, 4, 5, 6])  # of lengths 4, 1, 2 and 3
    assert held.lengths == (2, 4)
    assert held.length_indices[3:7].tolist() == [1, 0, 0, 1]
    assert held.own_lengths[3:7].tolist() == [4, 1, 2, 3]
    assert [[array.shape for array in arrays] for arrays in held.arrays] == [[(2, 2), (2, 2, 2)], [(2, 4), (2, 4, 4)]]
    numbers, pairs = held.one(held.rows_of([4])[0], length_index=0)
    np.testing.assert_array_equal(numbers, [[4, -1]])
    np.testing.assert_array_equal(pairs, [[[5, 0], [0, 0]]])


def test_a_batch_of_different_lengths_is_padded_to_the_longest(recording):
    held = SampleLibrary(served(samples_with_length, executable=WITH_LENGTHS), recording)
    held.load([3, 4, 5, 6])
    batch = (np.full((4, 4), 99, np.int8), np.full((4, 4, 4), 99, np.int8))
    indices = [4, 6, 5]
    held.collate_padded(held.rows_of(indices), batch, length_indices=held.length_indices[indices], padded_to=1)
    np.testing.assert_array_equal(batch[0][:3], [[4, -1, -1, -1], [6, 6, 6, -1], [5, 5, -1, -1]])
    np.testing.assert_array_equal(batch[1][2], [[6, 6, 0, 0], [6, 6, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_stages_samples_at_their_own_length(recording):
    held = SampleLibrary(served(samples_with_length, executable=WITH_LENGTHS), recording)
    held.keep_ready({2: 1, 4: 2})
    held.load([4, 6])
    np.testing.assert_array_equal(held.ready[4][0], [[4, -1]])
    np.testing.assert_array_equal(held.ready[6][0], [[6, 6, 6, -1]] * 2)


def test_a_sample_that_is_too_long_says_what_to_do(recording):
    def load(numbers):
        return [(np.zeros(5, np.float32), np.zeros((5, 5), np.float32)) for _ in numbers]

    with pytest.raises(UnfitSampleError) as error:
        SampleLibrary(served(load, executable=WITH_LENGTHS), recording).load([17])
    assert str(error.value) == (
        "Sample 17 has length 5, and the largest length that the model is compiled for is 4. Add a larger one to the "
        "`lengths` of the benchmark's InferenceTask, or truncate samples in its `open_samples`."
    )


def test_long_samples_that_would_not_fit_into_memory_are_refused_while_they_are_read(recording, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)  # enough for 100 samples of 6 bytes
    held = SampleLibrary(served(samples_with_length, executable=WITH_LENGTHS), recording)
    with pytest.raises(TfperfError, match=r"^68 samples of 0.00 MB need 0.0 GB of memory, and 0.0 GB are available\."):
        held.load([3, 2] * 50)


def test_samples_that_do_not_fit_into_memory_are_refused_with_their_size(recording, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    with pytest.raises(TfperfError, match=r"^50 samples of 0.00 MB need 0.0 GB of memory, and 0.0 GB are available\."):
        SampleLibrary(served(), recording).load(list(range(50)))
