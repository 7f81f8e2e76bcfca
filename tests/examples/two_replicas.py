"""`fit` under MirroredStrategy; here on a processor that looks like two."""

import keras
import numpy as np
import tensorflow as tf

import tfperf

processor = tf.config.list_physical_devices("CPU")[0]
if len(tf.config.get_logical_device_configuration(processor) or [None]) < 2:
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

keras.utils.set_random_seed(1)
inputs = np.random.default_rng(0).normal(size=(1024, 8)).astype("float32")
targets = (inputs.sum(axis=1) > 0).astype("int32")

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice())
with strategy.scope():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(
    inputs[:896],
    targets[:896],
    validation_data=(inputs[896:], targets[896:]),
    batch_size=64,
    epochs=10,
    verbose=0,
    callbacks=[tfperf.MLPerfCallback(log_dir="runs/1", monitor="val_accuracy", target=0.9, verbose=1)],
)
