"""SGD against its equations in NumPy, and against Keras's own SGD with the penalty in the loss."""

import keras
import numpy as np
import tensorflow as tf

from tfperf.training.sgd import ReferenceSgd


def _model(l2):
    penalty = keras.regularizers.L2(l2)
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, use_bias=False, kernel_regularizer=penalty, name="dense"),
            keras.layers.BatchNormalization(name="bn_dense"),
            keras.layers.Dense(3, kernel_regularizer=penalty, bias_regularizer=penalty, name="fc"),
        ]
    )


def _train(model, optimizer, *, penalised):
    images, targets = np.random.default_rng(0).normal(size=(2, 5, 8, 4)).astype(np.float32)
    for x, y in zip(images, targets[..., :3], strict=True):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
            loss += tf.add_n(model.losses) if penalised else 0.0
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return model.get_weights()


def test_equals_keras_sgd_with_the_penalty_in_the_loss():
    by_keras = _train(_model(0.05), keras.optimizers.SGD(0.1, momentum=0.9), penalised=True)
    ours = _train(_model(0.05), ReferenceSgd(0.1, momentum=0.9, l2=0.05), penalised=False)
    for expected, weight in zip(by_keras, ours, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_follows_the_equations():
    generator = np.random.default_rng(1)
    w, v = generator.normal(size=(3, 2)), np.zeros((3, 2))
    variable = keras.Variable(w, name="bias", dtype="float32")  # a bias is decayed, too
    optimizer = ReferenceSgd(0.2, momentum=0.9, l2=0.01)
    for _ in range(4):
        gradient = generator.normal(size=(3, 2))
        optimizer.apply([gradient.astype(np.float32)], [variable])
        v = 0.9 * v - 0.2 * (gradient + 2 * 0.01 * w)
        w = w + v
    np.testing.assert_allclose(variable.numpy(), w, rtol=1e-5)


def test_leaves_batch_normalisation_undecayed():
    with keras.name_scope("bn2a_branch2a"):
        variable = keras.Variable([2.0], name="gamma", dtype="float32")
    ReferenceSgd(1.0, l2=0.1).apply([np.zeros(1, np.float32)], [variable])
    assert variable.numpy() == [2.0]


def test_is_rebuilt_from_its_config():
    optimizer = ReferenceSgd(0.5, momentum=0.8, l2=1e-4, undecayed=("norm",))
    again = ReferenceSgd.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert optimizer.get_config() == {
        "learning_rate": 0.5,
        "momentum": 0.8,
        "name": "sgd",
        "l2": 1e-4,
        "undecayed": ("norm",),
    }
