"""The shares of the machine's peak follow from the model's operations, its weights and the load."""

import keras
import numpy as np
import pytest

from tests.evaluation.made_up import load
from tfperf.evaluation import examples, executables, subject
from tfperf.evaluation.peaks import Peaks
from tfperf.inference import model_cost
from tfperf.inference.model_cost import MachinePeak

FLOPS, WEIGHTS_BYTES = 2 * 8 * 4, 4 * 8 * 4  # of a product with 8 x 4 float32 weights


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    peak = MachinePeak(flops_per_s=1e6, copied_bytes_per_s=1e6)
    monkeypatch.setattr(model_cost, "measured_peak", lambda: peak)


def peaks(model):
    adapted, data = subject.adapt(model), examples.adapt(np.ones((16, 8), "float32"))
    (first, *_) = data.read()
    return Peaks(adapted, data, executables.ends(adapted, data, first.inputs))


@pytest.fixture(scope="module")
def dense():
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, use_bias=False)])


@pytest.mark.parametrize(
    ("changes", "samples_per_s", "executions_per_s"),
    [
        ({"requests": 100, "samples": 400, "batch_size": 4, "duration_s": 2.0}, 200, 50),
        ({"requests": 100, "samples": 400, "batch_size": 4, "duration_s": 2.0, "hosts": 2}, 100, 25),
        ({"phase": "multistream", "requests": 100, "samples": 800}, 800, 100),
        ({"phase": "offline", "requests": 1, "samples": 800, "batch_size": 8}, 800, 100),
        ({"executable": "litert-float32", "device": "cpu"}, 100, 100),
        ({"busy": 0.25}, 400, 400),  # a rate that leaves the model idle
        ({"busy": 0.25, "instances": 2}, 200, 200),  # which may have computed one after the other
        ({"busy": 0.9, "instances": 2}, 100, 100),
        ({"busy": 0.25, "instances": 2, "hosts": 2}, 200, 200),
    ],
)
def test_shares_are_work_per_second_over_the_peak(dense, changes, samples_per_s, executions_per_s):
    found = peaks(dense).of(load(**changes))
    assert found.arithmetic == pytest.approx(FLOPS * samples_per_s / 1e6)
    assert found.copying == pytest.approx(WEIGHTS_BYTES * executions_per_s / 1e6, rel=0.2)  # and some small constants


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device": "gpu:2"}, "for the CPU only"),
        ({"executable": "litert-int8"}, "in float32 only"),
    ],
)
def test_what_the_peak_says_nothing_about_has_a_reason(dense, changes, why):
    assert why in peaks(dense).of(load(**changes))


def test_models_that_cannot_be_compared_have_a_reason(tmp_path, dense):
    assert "a function of Python" in peaks(lambda inputs: inputs).of(load())
    half = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, dtype="mixed_bfloat16")])
    assert "less than float32" in peaks(half).of(load())

    class Refusing(keras.layers.Layer):
        def call(self, inputs):
            if inputs.shape[0] == 1:
                raise RuntimeError("one is not enough")
            return inputs

    said = peaks(keras.Sequential([keras.Input((8,)), Refusing()])).of(load())
    assert said.startswith("its operations can't be counted: ")
    assert "one is not enough" in said


def test_a_saved_model_is_counted_too(tmp_path, dense):
    dense.export(tmp_path / "dense", verbose=False)
    found = peaks(tmp_path / "dense").of(load())
    assert found.arithmetic == pytest.approx(FLOPS * 100 / 1e6)
