"""Models that Keras completes only with the first batch, in functions that XLA compiles."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfperf.training import program


@pytest.mark.usefixtures("two_cpus")
@pytest.mark.parametrize("named", [True, False], ids=["by name", "in order"])
def test_a_model_of_several_outputs_is_compiled_on_each_replica(named: bool) -> None:
    built, eager = (_losses(jit, named=named) for jit in ("gradients", "none"))
    np.testing.assert_allclose(built, eager, rtol=1e-5)


def _losses(jit: Any, *, named: bool) -> np.ndarray:
    keras.utils.set_random_seed(1)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
    losses = {"first": keras.losses.MeanSquaredError(), "second": keras.losses.MeanAbsoluteError()}
    with strategy.scope():
        given = keras.Input((4,))
        outputs = {name: keras.layers.Dense(1, name=name)(given) for name in losses}
        model = keras.Model(given, outputs if named else [*outputs.values()])
        model.compile(keras.optimizers.SGD(0.1), losses if named else [*losses.values()], jit_compile=False)
    random = np.random.default_rng(0)
    targets = {name: random.normal(size=(8, 1)).astype(np.float32) for name in outputs}
    batch = (random.normal(size=(8, 4)).astype(np.float32), targets if named else tuple(targets.values()))
    batches = tf.data.Dataset.from_tensor_slices(batch).batch(8, drop_remainder=True).repeat()
    built = program.build(model, strategy, jit=jit)
    found: np.ndarray = built.train(iter(strategy.experimental_distribute_dataset(batches)), tf.constant(3)).numpy()
    return found
