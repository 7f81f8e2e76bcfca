"""An update that is compiled for each device trains as the one of Keras's optimizer."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf import spec as specs
from tfperf.system import devices
from tfperf.training import optimizers, summed_update
from tfperf.training import program as programs
from tfperf.training.program import Program

pytestmark = [
    pytest.mark.usefixtures("two_cpus"),
    pytest.mark.filterwarnings("ignore:Gradients do not exist for variables:UserWarning"),
]

SGD = specs.Sgd(base_learning_rate=0.5, warmup_epochs=1, weight_decay=0.01)
MOMENTUM = specs.Momentum(base_learning_rate=0.2, warmup_steps=2, weight_decay=0.01)
LARS = specs.Lars(base_learning_rate=5.0, warmup_epochs=1, weight_decay=0.01)
# Each replica's gradient is longer than this.
LAMB = specs.Lamb(base_learning_rate=0.05, warmup_steps=2, epsilon=1e-3, clip_norm=0.01)
LAMB_AFTER = dataclasses.replace(LAMB, clip="after")
VOCABULARY, WIDTH, BATCH, STEPS = 7, 5, 8, 5


class Spare(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Normalises, and has a weight that takes no part in the loss."""

    def build(self, shape: Any) -> None:
        self.spare = self.add_weight(shape=(2,), initializer="ones", name="spare")
        self.norm = keras.layers.BatchNormalization(name="bn")
        self.norm.build(shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.norm(inputs, training=training)


def batches(*, overflow_at: int = -1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(5)
    for step in range(100):
        targets = random.normal(size=(BATCH, 3)).astype(np.float32)
        if step == overflow_at:
            targets[-1] = 1e30  # the square is infinite, on the last replica
        yield random.integers(0, VOCABULARY, (BATCH, 4)), targets


def program(optimizer: Any, *, jit: programs.Jit, accumulation: int = 1, sparse: bool = False) -> Program:
    keras.utils.set_random_seed(1)
    strategy = devices.strategy_for(specs.Device(kind="cpu", count=2))
    with strategy.scope():
        first = (
            keras.layers.Embedding(VOCABULARY, WIDTH)
            if sparse
            else keras.layers.CategoryEncoding(VOCABULARY, "one_hot")
        )
        layers = [first, keras.layers.GlobalAveragePooling1D(), Spare()]
        model = keras.Sequential([keras.Input((4,), dtype="int32"), *layers, keras.layers.Dense(3, name="fc")])
        mean = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
        model.compile(
            optimizer(), mean, weighted_metrics=[keras.metrics.MeanSquaredError(name="mse")], jit_compile=False
        )
    return programs.build(model, strategy, jit=jit, accumulation=accumulation)


def ours(spec: specs.Optimizer, precision: specs.Precision = "float32") -> Any:
    return lambda: optimizers.build(spec, steps_per_epoch=2, total_steps=8, precision=precision)


def train(built: Program, *, steps: int = STEPS, overflow_at: int = -1, micro_batches: int = 1) -> np.ndarray:
    dataset = tf.data.Dataset.from_generator(
        lambda: batches(overflow_at=overflow_at),
        output_signature=(tf.TensorSpec((BATCH, 4), tf.int64), tf.TensorSpec((BATCH, 3), tf.float32)),
    )
    shares = dataset.unbatch().batch(BATCH // 2 // micro_batches, drop_remainder=True)
    iterator = iter(built.strategy.distribute_datasets_from_function(lambda context: shares))
    losses: np.ndarray = built.train(iterator, tf.constant(steps)).numpy()
    return losses


def assert_same(found: Program, expected: Program) -> None:
    """Compares every variable on both replicas."""
    local = found.strategy.experimental_local_results
    for variable, other in zip(
        *([*p.model.variables, *p.model.optimizer.variables] for p in (found, expected)), strict=True
    ):
        for part, reference in zip(local(variable.value), local(other.value), strict=True):
            np.testing.assert_allclose(part.numpy(), reference.numpy(), rtol=2e-5, atol=2e-6, err_msg=variable.path)


@pytest.mark.parametrize(
    ("optimizer", "accumulation", "sparse"),
    [
        pytest.param(ours(SGD), 1, False, id="sgd"),
        pytest.param(ours(MOMENTUM), 1, False, id="momentum"),
        pytest.param(ours(LARS), 2, False, id="lars, accumulated"),
        pytest.param(ours(LARS, "mixed_float16"), 1, True, id="lars, float16, sparse gradient"),
        pytest.param(ours(LAMB), 1, False, id="lamb", marks=pytest.mark.slow),
        pytest.param(ours(LAMB), 2, True, id="lamb, accumulated, sparse gradient"),
        pytest.param(ours(LAMB_AFTER), 2, False, id="lamb, clipped after the reduction", marks=pytest.mark.slow),
        pytest.param(
            ours(LAMB_AFTER, "mixed_float16"), 1, True, id="lamb, float16, sparse gradient", marks=pytest.mark.slow
        ),
        pytest.param(lambda: keras.optimizers.Adam(0.01), 1, False, id="adam", marks=pytest.mark.slow),
        pytest.param(
            lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.1),
            1,
            False,
            id="clipped, so by Keras",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_trains_as_the_plain_update_does(optimizer: Any, accumulation: int, sparse: bool) -> None:
    plain = program(optimizer, jit="none", accumulation=accumulation, sparse=sparse)
    compiled = program(optimizer, jit="gradients", accumulation=accumulation, sparse=sparse)
    expected = train(plain, micro_batches=accumulation)
    np.testing.assert_allclose(train(compiled, micro_batches=accumulation), expected, rtol=1e-5)
    assert_same(compiled, plain)
    assert compiled.model.optimizer.iterations.numpy() == STEPS
    (spare,) = (weight for weight in compiled.model.trainable_variables if weight.name == "spare")
    np.testing.assert_array_equal(spare.numpy(), [1, 1])  # not even decayed, as in Keras


def test_skips_a_step_that_overflowed_on_any_replica_and_scales_as_keras_does() -> None:
    def optimizer() -> Any:
        built = ours(SGD, "mixed_float16")()
        built.dynamic_growth_steps = 2
        return built

    plain, compiled = program(optimizer, jit="none"), program(optimizer, jit="gradients")
    for built in (plain, compiled):
        train(built, steps=4, overflow_at=2)
    assert_same(compiled, plain)
    found = compiled.model.optimizer
    assert found.iterations.numpy() == 3
    assert found.dynamic_scale.numpy() == 2.0**15  # doubled once and halved once


@pytest.mark.parametrize(
    ("optimizer", "possible"),
    [
        (ours(SGD), True),
        (ours(LARS), True),
        (ours(LAMB), True),
        (ours(LAMB_AFTER, "mixed_float16"), True),
        (ours(SGD, "mixed_float16"), True),
        (lambda: keras.optimizers.Adam(), True),
        (lambda: keras.optimizers.Adam(clipnorm=1.0), False),
        (lambda: keras.optimizers.Adam(clipvalue=1.0), False),
        (lambda: keras.optimizers.AdamW(), False),
        (lambda: keras.optimizers.Nadam(), False),
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Nadam()), False),
        (lambda: keras.optimizers.SGD(use_ema=True), False),
        (lambda: keras.optimizers.SGD(loss_scale_factor=8.0), False),
        (lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(clipnorm=1.0)), False),
    ],
)
def test_is_possible_where_the_optimizer_only_steps(optimizer: Any, possible: bool) -> None:
    assert summed_update.is_possible(optimizer(), ()) == possible


def test_is_impossible_where_a_variable_is_constrained() -> None:
    constrained = keras.layers.Dense(1, kernel_constraint="non_neg")
    constrained.build((None, 2))
    assert not summed_update.is_possible(keras.optimizers.SGD(), constrained.trainable_variables)
