"""A functional model with two inputs and two outputs, which trains to a target on one of them."""

import keras
import numpy as np

import tfperf

keras.utils.set_random_seed(1)
random = np.random.default_rng(0)
words = random.integers(0, 50, size=(2000, 12))
tags = random.integers(0, 2, size=(2000, 5)).astype("float32")
urgent = (words == 7).any(axis=1).astype("float32")[:, None]
length = (tags.sum(axis=1, keepdims=True) / 5).astype("float32")

words_input = keras.Input((12,), dtype="int32", name="words")
tags_input = keras.Input((5,), name="tags")
embedded = keras.layers.GlobalMaxPooling1D()(keras.layers.Embedding(50, 16)(words_input))
together = keras.layers.concatenate([embedded, tags_input])
model = keras.Model(
    [words_input, tags_input],
    {
        "urgent": keras.layers.Dense(1, activation="sigmoid", name="urgent")(together),
        "length": keras.layers.Dense(1, name="length")(together),
    },
)
model.compile(
    optimizer=keras.optimizers.Adam(0.02),
    loss={"urgent": "binary_crossentropy", "length": "mse"},
    metrics={"urgent": ["accuracy"], "length": ["mae"]},
)
model.fit(
    {"words": words[:1600], "tags": tags[:1600]},
    {"urgent": urgent[:1600], "length": length[:1600]},
    validation_data=(
        {"words": words[1600:], "tags": tags[1600:]},
        {"urgent": urgent[1600:], "length": length[1600:]},
    ),
    epochs=20,
    verbose=0,
    callbacks=[tfperf.MLPerfCallback(log_dir="runs/1", monitor="val_urgent_accuracy", target=0.97, verbose=1)],
)
