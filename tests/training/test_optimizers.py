"""The optimizers under every strategy, precision and way to feed them that a run can ask for."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf import errors
from tfperf import spec as specs
from tfperf.training import hyperparameters, optimizers
from tfperf.training.lamb import ReferenceAdam, ReferenceAdamW, ReferenceLamb
from tfperf.training.lars import ReferenceLars
from tfperf.training.momentum import ReferenceMomentum
from tfperf.training.optimizers import ReplicatedLossScale
from tfperf.training.schedules import (
    ConstantAfterWarmup,
    PolynomialDecayWithWarmup,
    SteppedDecayWithWarmup,
    WholeRunDecayWithWarmup,
)
from tfperf.training.sgd import ReferenceSgd

pytestmark = pytest.mark.usefixtures("two_cpus")

SGD = specs.Sgd(base_learning_rate=0.5, warmup_epochs=1, weight_decay=0.01)
LARS = specs.Lars(base_learning_rate=5.0, warmup_epochs=1, weight_decay=0.01)
LAMB = specs.Lamb(base_learning_rate=0.02, warmup_steps=2, clip_norm=0.05, clip="after", epsilon=1e-3)
ADAM_W = specs.AdamW(base_learning_rate=0.02, warmup_steps=2, weight_decay=0.1, clip_norm=None, epsilon=1e-3)
MOMENTUM = specs.Momentum(base_learning_rate=0.5, decay_epochs=(1,), warmup_steps=2, weight_decay=0.01)
ADAM = specs.Adam(base_learning_rate=0.02, warmup_epochs=1, warmup_factor=0.0, epsilon=1e-3)
STRATEGIES = {
    "one device": lambda: tf.distribute.OneDeviceStrategy("CPU:0"),
    # The default, collectives, numbers them anew for each strategy, and those of two strategies in a process may clash.
    "two replicas": lambda: tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    ),
}
KINDS = (ReferenceLars, ReferenceSgd, ReferenceLamb, ReferenceAdamW, ReferenceMomentum, ReferenceAdam)
SCHEDULES = (PolynomialDecayWithWarmup, WholeRunDecayWithWarmup, SteppedDecayWithWarmup, ConstantAfterWarmup)
PARTS = (*KINDS, ReplicatedLossScale, *SCHEDULES)
CUSTOM = {part.__name__: part for part in PARTS}
EACH = pytest.mark.parametrize("spec", [SGD, LARS, LAMB, ADAM_W, MOMENTUM, ADAM], ids=lambda spec: type(spec).__name__)


def _build(spec, **options):
    return optimizers.build(spec, steps_per_epoch=2, total_steps=8, **options)


def _train(spec, strategy, *, parts=1, jit=False, precision="float32", steps=5):
    """Trains a small model on the same 8 examples a step, however they are shared; returns it with its optimizer."""
    keras.utils.set_random_seed(7)
    with strategy.scope():
        layers = [keras.layers.Dense(6, activation="tanh", name="dense"), keras.layers.Dense(3, name="fc")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        optimizer = _build(spec, precision=precision)
        optimizer.build(model.trainable_variables)
    replicas = strategy.num_replicas_in_sync

    def gradients(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x) - y) ** 2) / replicas
            scaled = optimizer.scale_loss(loss)
        return tape.gradient(scaled, model.trainable_variables)

    def step(x, y):
        shares = [gradients(*share) for share in zip(tf.split(x, parts), tf.split(y, parts), strict=True)]
        means = [tf.add_n(list(of_one)) / parts for of_one in zip(*shares, strict=True)]
        optimizer.apply_gradients(zip(means, model.trainable_variables, strict=True))

    if jit:
        step = tf.function(step, jit_compile=True)
    run = tf.function(lambda x, y: strategy.run(step, args=(x, y)))
    for x, y in _batches(steps):
        run(_shared(strategy, x), _shared(strategy, y))
    return model, optimizer


def _batches(steps):
    generator = np.random.default_rng(5)
    for _ in range(steps):
        yield generator.normal(size=(8, 4)).astype(np.float32), generator.normal(size=(8, 3)).astype(np.float32)


def _shared(strategy, batch):
    parts = np.split(batch, strategy.num_replicas_in_sync)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


def _assert_same_weights(model, expected, *, rtol=2e-5):
    for weight, other in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(weight, other, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize(("spec", "built"), [(SGD, ReferenceSgd), (LARS, ReferenceLars)])
def test_builds_what_the_spec_describes(spec, built):
    optimizer = _build(spec)
    assert isinstance(optimizer, built)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 1, 2, 8, 9)]
    base = spec.base_learning_rate
    last = (base - 1e-4) * (1 / 7) ** 2 + 1e-4  # decay_steps is (4 - 1) * 2 + 1, of which step 8 has done 6
    assert rates == pytest.approx([0, base / 2, base, last, 1e-4])


@pytest.mark.parametrize(
    ("batch", "epochs", "warmup", "logged"),
    [
        (2496, 40, 5, 17956),  # Google, round 0.7, gpu-v100-8-TF2.0
        (4096, 41, 2, 12169),  # Google, round 0.7, tpu-v3-32-TF2.0
        (2048, 36, 3, 20626),  # Intel-HabanaLabs, round 3.1, HLS-Gaudi2-TF
    ],
)
def test_counts_decay_steps_as_published_logs_do(batch, epochs, warmup, logged):
    spec = specs.Lars(base_learning_rate=9.0, warmup_epochs=warmup)
    steps = 1_281_167 // batch
    optimizer = optimizers.build(spec, steps_per_epoch=steps, total_steps=epochs * steps)
    found = hyperparameters.read(optimizer, steps_per_epoch=steps)
    assert found["lars_opt_learning_rate_decay_steps"] == logged
    assert found["lars_opt_learning_rate_warmup_epochs"] == warmup


def test_decay_steps_that_are_given_are_taken():
    spec = specs.Sgd(base_learning_rate=1.0, warmup_epochs=9, decay_steps=17)
    optimizer = optimizers.build(spec, steps_per_epoch=100, total_steps=100)
    assert hyperparameters.read(optimizer)["sgd_opt_learning_rate_decay_steps"] == 17


def test_the_decay_ends_with_a_run_of_so_many_steps():
    spec = specs.Sgd(base_learning_rate=1.0, warmup_epochs=2)
    rate = optimizers.build(spec, steps_per_epoch=10, total_steps=45)._learning_rate
    assert [float(rate(step)) for step in (10, 20, 46)] == pytest.approx([0.5, 1.0, 1e-4])
    assert 1e-4 < float(rate(45)) < 0.01


@pytest.mark.parametrize(("spec", "built"), [(LAMB, ReferenceLamb), (ADAM_W, ReferenceAdamW)])
def test_decays_over_the_steps_of_the_run_unless_they_are_given(spec, built):
    optimizer = _build(spec)
    assert type(optimizer) is built
    rates = [float(optimizer._learning_rate(step)) for step in (0, 1, 2, 4, 8)]
    assert rates == pytest.approx([0, 0.01, 0.015, 0.01, 0])  # from step 2 on, 0.02 * (1 - step / 8)
    given = _build(dataclasses.replace(spec, training_steps=16))
    assert float(given._learning_rate(4)) == pytest.approx(0.015)


@pytest.mark.parametrize(
    ("spec", "built", "expected"),
    [
        (MOMENTUM, ReferenceMomentum, [0, 0.25, 0.05, 0.05]),  # the rise over 2 steps, then the boundary at 2
        (
            dataclasses.replace(MOMENTUM, warmup_factor=2, decay_epochs=(2,)),
            ReferenceMomentum,
            [0.375, 0.4375, 0.5, 0.5],
        ),
        (dataclasses.replace(ADAM, warmup_factor=0.5), ReferenceAdam, [0.01, 0.015, 0.02, 0.02]),
    ],
)
def test_builds_the_detectors_optimizers(spec, built, expected):
    optimizer = _build(spec)
    assert type(optimizer) is built
    assert [float(optimizer._learning_rate(step)) for step in range(4)] == pytest.approx(expected)


def test_refuses_a_warm_up_in_steps_longer_than_the_run():
    with pytest.raises(errors.UsageError) as refused:
        _build(dataclasses.replace(LAMB, warmup_steps=12, start_warmup_step=-3))
    assert str(refused.value) == (
        "The warm-up must end within the 8 steps of the run, got warmup_steps=12 from step -3. Shorten the warm-up or "
        "train longer."
    )


def test_refuses_a_warm_up_longer_than_the_run():
    with pytest.raises(errors.UsageError) as refused:
        optimizers.build(specs.Lars(base_learning_rate=1.0, warmup_epochs=5), steps_per_epoch=10, total_steps=40)
    assert str(refused.value) == (
        "warmup_epochs must be at most 4, the epochs of the run, got 5. Shorten the warm-up, train longer, or give "
        "decay_steps."
    )


@EACH
def test_two_replicas_train_as_one_device_does(spec):
    one, _ = _train(spec, STRATEGIES["one device"]())
    strategy = STRATEGIES["two replicas"]()
    two, optimizer = _train(spec, strategy)
    _assert_same_weights(two, one)
    assert optimizer.iterations.numpy() == 5
    for variable in two.variables:
        first, second = (part.numpy() for part in strategy.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second)


@EACH
@pytest.mark.parametrize("name", STRATEGIES)
def test_averaged_micro_batches_train_as_a_whole_batch_does(spec, name):
    whole, _ = _train(spec, STRATEGIES["one device"]())
    parts, optimizer = _train(spec, STRATEGIES[name](), parts=2)
    _assert_same_weights(parts, whole)
    assert optimizer.iterations.numpy() == 5


@EACH
def test_a_compiled_step_trains_as_an_interpreted_one_does(spec):
    interpreted, _ = _train(spec, STRATEGIES["one device"]())
    compiled, _ = _train(spec, STRATEGIES["one device"](), jit=True)
    _assert_same_weights(compiled, interpreted)


@EACH
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_loss_scale_changes_no_weight(spec, name):
    plain, _ = _train(spec, STRATEGIES["one device"]())
    scaled, optimizer = _train(spec, STRATEGIES[name](), precision="mixed_float16")
    assert isinstance(optimizer, ReplicatedLossScale)
    assert optimizer.iterations.numpy() == 5
    _assert_same_weights(scaled, plain)


@pytest.mark.parametrize("overflowing", [0, 1])
def test_skips_a_step_when_any_replica_overflows(overflowing):
    strategy = STRATEGIES["two replicas"]()
    with strategy.scope():
        variable = keras.Variable([1.0], name="kernel")
        optimizer = _build(SGD, precision="mixed_float16")
        optimizer.build([variable])

    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        gradient = tf.where(tf.equal(replica, overflowing), [np.inf], [1.0])
        optimizer.apply_gradients([(gradient, variable)])

    tf.function(lambda: strategy.run(step))()
    assert variable.numpy() == [1.0]
    assert optimizer.iterations.numpy() == 0
    assert optimizer.dynamic_scale.numpy() == 2.0**14


@EACH
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_trains_under_mixed_precision(spec, policy):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    features = keras.layers.Conv2D(4, 3, dtype=policy, name="conv1")(inputs)
    features = keras.layers.GlobalAveragePooling2D(dtype=policy)(features)
    model = keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="fc")(features))
    optimizer = _build(dataclasses.replace(spec, base_learning_rate=spec.base_learning_rate / 10), precision=policy)
    x, y = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32), np.ones((16, 1), np.float32)

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        return loss

    optimizer.build(model.trainable_variables)
    run = tf.function(step)
    losses = [float(run()) for _ in range(6)]
    assert losses[0] == losses[1]  # the first step of the warm-up has rate 0
    assert losses[-1] < losses[0]
    assert optimizer.iterations.numpy() == 6
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


@EACH
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_keras_saves_and_restores_the_optimizer(spec, precision):
    optimizer = _build(spec, precision=precision)
    saved = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(saved, custom_objects=CUSTOM)
    assert again.get_config() == optimizer.get_config()
