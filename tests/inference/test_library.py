"""The sample library holds what was asked for, encoded, by number."""

import dataclasses

import numpy as np
import pytest

from tfperf.errors import TfperfError
from tfperf.inference.job import Served
from tfperf.inference.library import BLOCK, SampleLibrary
from tfperf.inference.recording import Recording
from tfperf.system import memory


@dataclasses.dataclass
class Halves:
    """A model whose samples are kept as int8 halves of their values."""

    form: str = "halves"
    batch_sizes: tuple[int, ...] = (1, 4)
    input_shape: tuple[int, ...] = (3,)
    input_dtype: np.dtype = dataclasses.field(default_factory=lambda: np.dtype(np.int8))
    threads: int = 1

    def encode(self, samples):
        return (samples / 2).astype(np.int8)

    def stage(self, inputs):
        return inputs.copy()

    def run(self, staged):
        return staged.astype(np.float32)

    def traces(self):
        return 0


def samples_of(numbers):
    return np.array([[2 * number, 2 * number, 0] for number in numbers], np.float32)


@pytest.fixture
def recording(tmp_path):
    return Recording.create(tmp_path / "recording", capacity=8)


def served(load=samples_of, total=100):
    return Served(executable=Halves(), total=total, load=load, respond=lambda outputs: outputs)


def test_keeps_encoded_samples_by_number_and_counts_them(recording):
    asked = []

    def load(numbers):
        asked.append(len(numbers))
        return samples_of(numbers)

    held = SampleLibrary(served(load), recording)
    numbers = list(range(99, 99 - BLOCK - 8, -1))
    held.load(numbers)
    assert asked == [BLOCK, 8]
    assert held.inputs.dtype == np.int8
    np.testing.assert_array_equal(held.inputs[held.rows_of([70, 99, 70])][:, 0], [70, 99, 70])
    assert (recording.counter("loaded"), recording.counter("to_load")) == (BLOCK + 8, BLOCK + 8)


def test_stages_every_sample_when_asked_to(recording):
    held = SampleLibrary(served(), recording)
    held.keep_staged(4)
    held.load([5, 7])
    np.testing.assert_array_equal(held.staged[7], [[7, 7, 0]] * 4)
    assert held.staged[6] is None


def test_unloading_frees_the_memory_and_another_set_can_be_loaded(recording):
    held = SampleLibrary(served(), recording)
    held.keep_staged(1)
    held.load([1, 2])
    held.unload([1, 2])
    assert len(held.inputs) == 0
    assert held.staged[1] is None
    held.load([3])
    np.testing.assert_array_equal(held.inputs[held.rows_of([3])], [[3, 3, 0]])


def test_a_sample_that_is_not_loaded_is_an_error(recording):
    held = SampleLibrary(served(), recording)
    held.load([1, 2])
    with pytest.raises(ValueError, match=r"^2 of 3 samples are not loaded, sample 8 first\.$"):
        held.rows_of([1, 8, 9])


def test_too_few_samples_are_an_error(recording):
    held = SampleLibrary(served(lambda numbers: samples_of(numbers[1:])), recording)
    with pytest.raises(ValueError, match=r"^Loading 2 samples must give an array of shape \(2, 3\), got \(1, 3\)\."):
        held.load([1, 2])


def test_samples_that_do_not_fit_into_memory_are_refused_with_their_size(recording, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    with pytest.raises(TfperfError, match=r"^50 samples of 0.00 MB need 0.0 GB of memory, and 0.0 GB are available\."):
        SampleLibrary(served(), recording).load(list(range(50)))
