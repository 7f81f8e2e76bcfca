"""The grouped convolution against an ordinary one whose kernel is zero between the groups."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.benchmarks.detection.network.grouped import GroupedConvolution

GROUPS, CHANNELS, FILTERS = 4, 8, 12


def layer(stride: int, dtype: str = "float32") -> GroupedConvolution:
    keras.utils.set_random_seed(1)
    made = GroupedConvolution(
        FILTERS,
        3,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        groups=GROUPS,
        data_format="channels_last",
        dtype=dtype,
    )
    made.build((None, 9, 9, CHANNELS))
    return made


def blocks(kernel: np.ndarray) -> np.ndarray:
    """The kernel of the ordinary convolution."""
    whole = np.zeros((3, 3, CHANNELS, FILTERS), np.float32)
    inputs, outputs = CHANNELS // GROUPS, FILTERS // GROUPS
    for group in range(GROUPS):
        block = (..., slice(group * inputs, (group + 1) * inputs), slice(group * outputs, (group + 1) * outputs))
        whole[block] = kernel[..., group * outputs : (group + 1) * outputs]
    return whole


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_output_and_gradients_are_those_of_an_ordinary_convolution(stride: int, jit_compile: bool) -> None:
    grouped = layer(stride)
    images = tf.constant(np.random.default_rng(2).normal(size=(2, 9, 9, CHANNELS)).astype(np.float32))
    whole = tf.constant(blocks(grouped.kernel.numpy()))

    def found() -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = grouped(images)
            loss = tf.reduce_sum(tf.sin(outputs))
        return (outputs, *tape.gradient(loss, (images, grouped.kernel.value)))

    with tf.GradientTape() as tape:
        tape.watch((images, whole))
        outputs = tf.nn.conv2d(images, whole, stride, grouped.padding.upper())
        loss = tf.reduce_sum(tf.sin(outputs))
    of_images, of_whole = tape.gradient(loss, (images, whole))
    computed = tf.function(found, jit_compile=jit_compile)()
    np.testing.assert_allclose(computed[0], outputs, atol=1e-5)
    np.testing.assert_allclose(computed[1], of_images, atol=1e-5)
    mask = blocks(np.ones(grouped.kernel.shape, np.float32))
    np.testing.assert_allclose(blocks(computed[2].numpy()), of_whole * mask, atol=1e-4)


def test_computes_in_the_type_of_the_policy() -> None:
    images = np.random.default_rng(2).normal(size=(1, 9, 9, CHANNELS)).astype(np.float32)
    exact, rounded = layer(1)(images), layer(1, "mixed_bfloat16")(images)
    assert rounded.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(rounded, "float32"), exact, atol=0.05)


def test_is_the_same_after_saving() -> None:
    grouped = layer(2)
    again = GroupedConvolution.from_config(grouped.get_config())
    assert (again.groups, again.strides, again.filters) == (GROUPS, (2, 2), FILTERS)
