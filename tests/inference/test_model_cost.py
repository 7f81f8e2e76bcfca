"""The arithmetic of a model is counted, and the machine's peak is no less than what a plain product reaches."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.inference import model_cost


def test_products_and_convolutions_are_counted():
    dense = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, use_bias=False)])
    assert model_cost.flops(dense) == 2 * 8 * 4
    convolution = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(5, 3, use_bias=False)])
    assert model_cost.flops(convolution) == 2 * (4 * 4) * 5 * (3 * 3 * 3)


def test_the_work_counts_weights_and_finds_16_bits():
    dense = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, use_bias=False)])
    work = model_cost.counted(dense, [tf.TensorSpec((3, 8))])
    assert (work.flops, work.float32) == (3 * 2 * 8 * 4, True)
    assert 4 * 8 * 4 <= work.weights_bytes < 4 * 8 * 4 + 64
    half = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, dtype="mixed_float16")])
    assert not model_cost.counted(half, [tf.TensorSpec((3, 8))]).float32
    assert model_cost.counted(lambda inputs: inputs, [tf.TensorSpec((3, 8))]) is None


def test_inputs_of_open_length_have_no_count():
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Dense(4)])
    assert model_cost.flops(model) is None


def test_the_peak_is_of_this_machine():
    peak = model_cost.measured_peak()
    assert peak.flops_per_s > 1e9
    assert peak.copied_bytes_per_s > 1e8
    assert np.isfinite([peak.flops_per_s, peak.copied_bytes_per_s]).all()
    assert peak.flops_per_s == pytest.approx(model_cost.measured_peak().flops_per_s, rel=5)
