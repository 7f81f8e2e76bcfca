"""A training loop written by hand, measured as `fit` would be."""

import keras
import tensorflow as tf

import tfperf

BATCH = 64
keras.utils.set_random_seed(1)


def examples(count: int, seed: int) -> tf.data.Dataset:
    """Points in a square; those in two opposite quarters belong together."""
    inputs = tf.random.stateless_uniform((count, 2), (seed, 0), -1.0, 1.0)
    targets = tf.cast(inputs[:, :1] * inputs[:, 1:] > 0, tf.float32)
    return tf.data.Dataset.from_tensor_slices((inputs, targets))


train = examples(2048, 0).shuffle(2048).batch(BATCH, drop_remainder=True)
held_out = examples(512, 1).batch(BATCH)
model = keras.Sequential(
    [keras.Input((2,)), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
)
optimizer = keras.optimizers.Adam(0.02)
loss_of = keras.losses.BinaryCrossentropy()
accuracy = keras.metrics.BinaryAccuracy()


@tf.function
def train_step(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """One update; the loss before it."""
    with tf.GradientTape() as tape:
        loss = loss_of(targets, model(inputs, training=True))
    optimizer.apply_gradients(
        zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
    )
    return loss


def evaluate() -> float:
    """The accuracy on the held-out examples."""
    accuracy.reset_state()
    for inputs, targets in held_out:
        accuracy.update_state(targets, model(inputs, training=False))
    return float(accuracy.result())


with tfperf.measure("runs/1", monitor="accuracy", target=0.95, global_batch_size=BATCH, verbose=1) as run:
    optimizer.build(model.trainable_variables)
    run.start(optimizer)  # the clock runs from here
    for _epoch in range(20):
        for inputs, targets in train:
            loss = train_step(inputs, targets)
            run.step_end(logs={"loss": loss})
        if run.evaluated(evaluate()):
            break
