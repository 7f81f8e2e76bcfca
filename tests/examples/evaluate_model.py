"""Evaluates a small network: its accuracy first, then its latency under the loads of evaluate.yaml."""

import keras
import numpy as np

import tfperf

model = keras.Sequential(
    [keras.Input((8, 8, 3)), keras.layers.Conv2D(8, 3), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
)
model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
random = np.random.default_rng(0)
validation_data = (random.random((64, 8, 8, 3), "float32"), random.integers(0, 10, 64))

config = tfperf.load_config("evaluate.yaml")
result = tfperf.evaluate(model, validation_data, config=config)
print(result)
