"""Models of the kinds in Keras's public examples, built as there and only smaller, each with data of its form.

The names are those of the pages under https://keras.io/examples and https://keras.io/guides.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

Example = tuple[Any, Any]  # a model and its data


def mnist_convnet() -> Example:
    """keras.io/examples/vision/mnist_convnet: one-hot labels, arrays."""
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model, (_random(40, 28, 28, 1), keras.utils.to_categorical(np.arange(40) % 10, 10))


def functional_api() -> Example:
    """keras.io/guides/functional_api: a toy ResNet, as tf.data."""
    import tensorflow as tf

    inputs = keras.Input(shape=(32, 32, 3), name="img")
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    block_1 = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(block_1)
    x = layers.add([layers.Conv2D(8, 3, activation="relu", padding="same")(x), block_1])
    outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs, name="toy_resnet")
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["acc"])
    return model, tf.data.Dataset.from_tensor_slices((_random(40, 32, 32, 3), np.arange(40) % 10)).batch(16)


def multi_input_and_output() -> Example:
    """keras.io/guides/functional_api: customer tickets, several inputs and outputs by name."""
    title = keras.Input(shape=(None,), name="title")
    body = keras.Input(shape=(None,), name="body")
    tags = keras.Input(shape=(12,), name="tags")
    title_features = layers.LSTM(8)(layers.Embedding(100, 16)(title))
    body_features = layers.LSTM(4)(layers.Embedding(100, 16)(body))
    x = layers.concatenate([title_features, body_features, tags])
    priority = layers.Dense(1, name="priority")(x)
    department = layers.Dense(4, name="department")(x)
    model = keras.Model([title, body, tags], {"priority": priority, "department": department})
    model.compile(
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        metrics={"priority": ["mae"], "department": ["accuracy"]},
    )
    random = np.random.default_rng(1)
    x_data = {
        "title": random.integers(100, size=(24, 10)).astype("float32"),
        "body": random.integers(100, size=(24, 20)).astype("float32"),
        "tags": random.integers(2, size=(24, 12)).astype("float32"),
    }
    y_data = {"priority": random.random((24, 1)), "department": keras.utils.to_categorical(np.arange(24) % 4, 4)}
    return model, (x_data, y_data)


class RecommenderNet(keras.Model):  # type: ignore[misc]
    """keras.io/examples/structured_data/collaborative_filtering_for_movielens: subclassed, embeddings."""

    def __init__(self, num_users: int, num_movies: int, embedding_size: int) -> None:
        super().__init__()
        self.user_embedding = layers.Embedding(num_users, embedding_size)
        self.user_bias = layers.Embedding(num_users, 1)
        self.movie_embedding = layers.Embedding(num_movies, embedding_size)
        self.movie_bias = layers.Embedding(num_movies, 1)

    def call(self, inputs: Any) -> Any:
        """The rating, from 0 to 1."""
        user_vector, user_bias = self.user_embedding(inputs[:, 0]), self.user_bias(inputs[:, 0])
        movie_vector, movie_bias = self.movie_embedding(inputs[:, 1]), self.movie_bias(inputs[:, 1])
        dot_user_movie = ops.sum(user_vector * movie_vector, axis=-1, keepdims=True)
        return ops.nn.sigmoid(dot_user_movie + user_bias + movie_bias)


def collaborative_filtering() -> Example:
    """A subclassed model on integers."""
    model = RecommenderNet(20, 30, 8)
    model.compile(loss=keras.losses.BinaryCrossentropy(), optimizer="adam", metrics=["mae"])
    random = np.random.default_rng(1)
    pairs = np.stack([random.integers(20, size=64), random.integers(30, size=64)], axis=1)
    model(pairs[:1])
    return model, (pairs, random.random((64, 1)))


class TransformerBlock(layers.Layer):  # type: ignore[misc]
    """keras.io/examples/nlp/text_classification_with_transformer: a layer of one's own."""

    def __init__(self, embed_dim: int, num_heads: int, ff_dim: int) -> None:
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1, self.layernorm2 = (layers.LayerNormalization(epsilon=1e-6) for _ in range(2))

    def call(self, inputs: Any) -> Any:
        """Attention, then a small network, each added to what went in."""
        out1 = self.layernorm1(inputs + self.att(inputs, inputs))
        return self.layernorm2(out1 + self.ffn(out1))


def text_classification_with_transformer() -> Example:
    """Token ids through custom layers, by a PyDataset."""

    class Tokens(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            random = np.random.default_rng(index)
            return random.integers(100, size=(8, 20)), random.integers(2, size=8)

    inputs = layers.Input(shape=(20,))
    x = TransformerBlock(16, 2, 16)(layers.Embedding(100, 16)(inputs))
    outputs = layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs=inputs, outputs=outputs)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, Tokens()


def timeseries_classification() -> Example:
    """keras.io/examples/timeseries/timeseries_classification_from_scratch: a generator of batches."""
    input_layer = keras.layers.Input((50, 1))
    conv = input_layer
    for _ in range(2):
        conv = keras.layers.Conv1D(filters=8, kernel_size=3, padding="same")(conv)
        conv = keras.layers.ReLU()(keras.layers.BatchNormalization()(conv))
    output_layer = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling1D()(conv))
    model = keras.models.Model(inputs=input_layer, outputs=output_layer)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
    return model, ((_random(8, 50, 1), np.arange(8) % 2) for _ in range(3))


def structured_data_classification() -> Example:
    """keras.io/examples/structured_data/structured_data_classification_from_scratch: columns of a pandas frame."""
    import pandas

    random = np.random.default_rng(1)
    frame = pandas.DataFrame({name: random.random(40).astype("float32") for name in ("age", "trestbps", "chol")})
    inputs = [keras.Input(shape=(1,), name=name) for name in frame.columns]
    x = layers.Dropout(0.5)(layers.Dense(32, activation="relu")(layers.concatenate(inputs)))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model, (frame, pandas.Series(np.arange(40) % 2))


def image_segmentation() -> Example:
    """keras.io/examples/vision/oxford_pets_image_segmentation: an answer for every pixel."""
    inputs = keras.Input(shape=(32, 32, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(inputs)))
    x = layers.SeparableConv2D(16, 3, padding="same")(x)
    x = layers.UpSampling2D(2)(layers.Conv2DTranspose(8, 3, padding="same")(x))
    model = keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, (_random(12, 32, 32, 3), np.random.default_rng(1).integers(3, size=(12, 32, 32, 1)))


def autoencoder() -> Example:
    """keras.io/examples/vision/autoencoder: images as labels."""
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(8, (3, 3), activation="relu", padding="same"),
            layers.MaxPooling2D((2, 2), padding="same"),
            layers.Conv2DTranspose(8, (3, 3), strides=2, activation="relu", padding="same"),
            layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["mse"])
    images = _random(20, 28, 28, 1)
    return model, (images, images)


def bidirectional_lstm() -> Example:
    """keras.io/examples/nlp/bidirectional_lstm_imdb: sequences of any length, padded."""
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(layers.Embedding(100, 16)(inputs))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Bidirectional(layers.LSTM(8))(x)))
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    random = np.random.default_rng(1)
    return model, (random.integers(100, size=(16, 20)), np.arange(16) % 2)


EXAMPLES = (
    mnist_convnet,
    functional_api,
    multi_input_and_output,
    collaborative_filtering,
    text_classification_with_transformer,
    timeseries_classification,
    structured_data_classification,
    image_segmentation,
    autoencoder,
    bidirectional_lstm,
)


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape, "float32")
