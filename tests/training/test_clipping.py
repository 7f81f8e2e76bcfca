"""Gradients are clipped on each replica and micro-batch, or their mean, whatever compiles the step."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf import spec as specs
from tfperf.system import devices
from tfperf.training import clipping, optimizers
from tfperf.training import program as programs
from tfperf.training.lamb import ReferenceLamb

pytestmark = pytest.mark.usefixtures("two_cpus")

BATCH, FEATURES, STEPS, NORM = 8, 3, 3, 0.5
# The update is the mean of the gradients: no decay and no trust ratio, since the path contains "bias".
PLAIN = specs.AdamW(base_learning_rate=0.1, training_steps=1_000_000, clip_norm=NORM, weight_decay=0.0)


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(5)
    for step in range(100):
        # The parts of a batch have gradients of very different lengths.
        scales = np.repeat([0.1, 3.0, 0.3, 9.0], BATCH // 4)[:, None]
        targets = random.normal(size=(BATCH, 1)) * scales * (1 + step)
        yield random.normal(size=(BATCH, FEATURES)).astype(np.float32), targets.astype(np.float32)


def trained(spec: specs.AdamW, *, replicas: int, jit: programs.Jit, micro_batches: int, precision: Any) -> np.ndarray:
    one = tf.distribute.OneDeviceStrategy("CPU:0")
    strategy = one if replicas == 1 else devices.strategy_for(specs.Device(kind="cpu", count=replicas))
    with strategy.scope():
        model = keras.Sequential(
            [keras.Input((FEATURES,)), keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False, name="dense")]
        )
        built = optimizers.build(spec, steps_per_epoch=1, total_steps=1_000_000, precision=precision)
        mean = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
        model.compile(built, mean, jit_compile=False)
    program = programs.build(model, strategy, jit=jit, accumulation=micro_batches)
    dataset = tf.data.Dataset.from_generator(
        batches,
        output_signature=(tf.TensorSpec((BATCH, FEATURES), tf.float32), tf.TensorSpec((BATCH, 1), tf.float32)),
    )
    shares = dataset.unbatch().batch(BATCH // replicas // micro_batches, drop_remainder=True)
    iterator = iter(strategy.distribute_datasets_from_function(lambda context: shares))
    program.train(iterator, tf.constant(STEPS))
    weights: np.ndarray = model.get_weights()[0]
    return weights


def expected(spec: specs.AdamW, *, parts: int) -> np.ndarray:
    """The weights after clipping each of `parts` equal parts of a batch, or their mean."""
    weights, mean, square = np.zeros((FEATURES, 1)), 0.0, 0.0
    for step, (x, y) in zip(range(1, STEPS + 1), batches(), strict=False):
        shares = zip(np.split(x.astype(np.float64), parts), np.split(y.astype(np.float64), parts), strict=True)
        found = [2 * a.T @ (a @ weights - b) / len(a) for a, b in shares]
        g = (
            np.mean([shortened(each) for each in found], axis=0)
            if spec.clip == "before"
            else shortened(np.mean(found, 0))
        )
        mean = spec.beta_1 * mean + (1 - spec.beta_1) * g
        square = spec.beta_2 * square + (1 - spec.beta_2) * g**2
        corrected = np.sqrt(square / (1 - spec.beta_2**step)) + spec.epsilon
        rate = spec.base_learning_rate * (1 - (step - 1) / 1_000_000)
        weights = weights - rate * mean / (1 - spec.beta_1**step) / corrected
    return weights


def shortened(gradient: np.ndarray) -> np.ndarray:
    return gradient * min(1.0, NORM / np.linalg.norm(gradient))


@pytest.mark.parametrize("clip", ["before", "after"])
@pytest.mark.parametrize(
    ("replicas", "jit", "micro_batches", "precision"),
    [
        (1, "none", 1, "float32"),
        (1, "step", 1, "float32"),
        (1, "gradients", 4, "float32"),
        (2, "none", 1, "float32"),
        (2, "gradients", 1, "float32"),
        (2, "none", 2, "float32"),
        (2, "gradients", 2, "mixed_float16"),
        (2, "none", 1, "mixed_float16"),
    ],
)
def test_clips_each_part_or_their_mean(
    clip: specs.Clip, replicas: int, jit: programs.Jit, micro_batches: int, precision: specs.Precision
) -> None:
    spec = dataclasses.replace(PLAIN, clip=clip)
    # With several micro-batches a replica's micro-batches follow one another in the data.
    found = trained(spec, replicas=replicas, jit=jit, micro_batches=micro_batches, precision=precision)
    np.testing.assert_allclose(found, expected(spec, parts=replicas * micro_batches), rtol=1e-4)


def test_the_two_ways_differ() -> None:
    before, after = (expected(dataclasses.replace(PLAIN, clip=clip), parts=4) for clip in ("before", "after"))
    assert np.abs(before - after).max() > 0.01


def test_a_short_gradient_and_an_unconnected_variable_stay_as_they_are() -> None:
    gradients = [tf.constant([0.3]), None, tf.constant([[0.4]])]
    first, second, third = clipping.by_global_norm(gradients, tf.constant(1.0))
    assert second is None
    np.testing.assert_allclose([first.numpy()[0], third.numpy()[0, 0]], [0.3, 0.4], rtol=1e-6)


def test_an_overflow_stays_visible() -> None:
    clipped = clipping.by_global_norm([tf.constant([np.inf, 1.0]), tf.constant([1.0])], tf.constant(1.0))
    assert not np.isfinite(np.concatenate([each.numpy() for each in clipped])).any()


def test_what_is_not_asked_for_is_not_done() -> None:
    gradients = [tf.constant([3.0])]
    for optimizer in (keras.optimizers.SGD(), ReferenceLamb(0.1), ReferenceLamb(0.1, clip_norm=1.0, clip="after")):
        assert clipping.of_replica(optimizer, gradients, replicas=2) is gradients
    for optimizer in (keras.optimizers.SGD(), ReferenceLamb(0.1), ReferenceLamb(0.1, clip_norm=1.0)):
        assert clipping.of_sum(optimizer, gradients) is gradients
