"""LiteRT's calibration samples reach the inputs that they are for."""

import pathlib

import keras
import numpy as np

from tfperf.benchmarks.tensor import Tensor
from tfperf.inference import forms
from tfperf.inference.executable import Bucket

SIZES = {"words": 100, "places": 20, "kinds": 3}  # LiteRT keeps inputs in an order of its own
LENGTH = 12


def test_each_of_several_inputs_gets_its_own_samples(tmp_path: pathlib.Path) -> None:
    keras.utils.set_random_seed(0)
    taken = {name: keras.Input((None,), dtype="int32", name=name) for name in SIZES}
    embedded = [keras.layers.Embedding(size, 8)(taken[name]) for name, size in SIZES.items()]
    model = keras.Model(taken, keras.layers.Dense(2, name="scores")(keras.layers.Add()(embedded)))
    inputs = tuple(Tensor(name=name, shape=(None,), dtype="int32") for name in SIZES)
    chance = np.random.default_rng(0)
    # An id of one input is out of bounds in the table of another, where conversion fails.
    samples = [
        tuple(chance.integers(0, size, LENGTH).astype(np.int32) for size in SIZES.values()) for _number in range(16)
    ]
    outputs = (Tensor(name="scores", shape=(None, 2)),)
    forms.build("litert-int8", model, tmp_path, inputs=inputs, outputs=outputs, calibration=samples)
    opened = forms.open_form("litert-int8", tmp_path, buckets=(Bucket(1, LENGTH),), threads=1)
    batch = tuple(array[None] for array in samples[0])
    (found,) = opened.run(opened.stage(opened.encode(batch)))
    expected = np.asarray(model(dict(zip(SIZES, batch, strict=True))))
    np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())
