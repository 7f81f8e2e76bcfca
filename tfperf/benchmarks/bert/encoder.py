"""BERT's encoder: embeddings, transformer layers and pooler, with the equations and initialisers of the reference.

Source: `modeling.py` of mlcommons/training (retired_benchmarks/bert), which is google-research/bert's. Layer
normalisation follows each residual sum, has epsilon 1e-12 and computes in float32 at any precision.

Checkpoints, LAMB and weight decay find variables by name, such as `layer_0/attention/query/kernel`. Query, key and
value are separate variables, since LAMB gives each its own trust ratio.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from tfperf.benchmarks.bert.encoder_config import Activation, Encoder

_EPSILON = 1e-12
_MASKED = -10000.0  # added to the scores of padding; within the range of float16


class PartOfBert(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A layer that depends on the encoder's size.

    Args:
        encoder: the fields of `Encoder`.
        kwargs: of a Keras layer.
    """

    def __init__(self, *, encoder: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = Encoder(**encoder)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "encoder": as_dict(self.size)}

    def dense(self, units: int, name: str) -> keras.layers.Dense:
        """A part of the layer that computes in the same type, initialised as the reference does."""
        return keras.layers.Dense(units, kernel_initializer=initializer(self.size), dtype=self.dtype_policy, name=name)


@keras.saving.register_keras_serializable(package="tfperf")
class TokenEmbeddings(PartOfBert):
    """The sum of word, position and segment embeddings, normalised."""

    def __init__(self, *, encoder: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(encoder=encoder, **kwargs)
        size = self.size
        self.word = self._embedding(size.vocabulary_size, "word")
        self.position = self._embedding(size.max_positions, "position")
        self.token_type = self._embedding(size.token_types, "token_type")
        self.layer_norm = layer_norm()
        self.dropout = keras.layers.Dropout(size.dropout, dtype=self.dtype_policy)

    def build(self, ids_shape: Any, segments_shape: Any) -> None:
        """Makes the three tables."""
        self.word.build(ids_shape)
        self.position.build((None,))
        self.token_type.build(segments_shape)
        self.layer_norm.build((*ids_shape, self.size.hidden_size))

    def call(self, ids: Any, segments: Any, training: bool = False) -> tuple[Any, Any]:
        """Embeds tokens.

        Args:
            ids: int32 [n, length].
            segments: int32 [n, length].
            training: whether values are dropped.

        Returns:
            The hidden states [n, length, hidden_size], and the table of words [vocabulary_size, hidden_size], which the
            masked-LM head shares.
        """
        positions = ops.convert_to_tensor(self.position.embeddings)[: ops.shape(ids)[1]]
        summed = self.word(ids) + ops.cast(positions, self.compute_dtype) + self.token_type(segments)
        table = ops.convert_to_tensor(self.word.embeddings)
        return self.dropout(_normed(self, summed), training=training), table

    def compute_output_spec(self, ids: Any, segments: Any, training: bool = False) -> tuple[Any, Any]:
        """As `call`, without computing."""
        width, words = self.size.hidden_size, self.size.vocabulary_size
        return (
            keras.KerasTensor((*ids.shape, width), dtype=self.compute_dtype),
            keras.KerasTensor((words, width), dtype=self.variable_dtype),
        )

    def _embedding(self, count: int, name: str) -> keras.layers.Embedding:
        return keras.layers.Embedding(
            count,
            self.size.hidden_size,
            embeddings_initializer=initializer(self.size),
            dtype=self.dtype_policy,
            name=name,
        )


@keras.saving.register_keras_serializable(package="tfperf")
class SelfAttention(PartOfBert):
    """Multi-head attention of a sequence to itself, its residual sum and layer normalisation."""

    def __init__(self, *, encoder: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(encoder=encoder, **kwargs)
        size = self.size
        self._heads, self._depth = size.heads, size.hidden_size // size.heads
        self.query, self.key, self.value, self.output_projection = (
            self.dense(size.hidden_size, name) for name in ("query", "key", "value", "output")
        )
        self.layer_norm = layer_norm()
        self.attention_dropout = keras.layers.Dropout(size.attention_dropout, dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(size.dropout, dtype=self.dtype_policy)

    def build(self, hidden_shape: Any, additive_mask_shape: Any) -> None:
        """Makes the projections."""
        for layer in (self.query, self.key, self.value, self.output_projection, self.layer_norm):
            layer.build(hidden_shape)

    def call(self, hidden: Any, additive_mask: Any, training: bool = False) -> Any:
        """Attends.

        Args:
            hidden: [n, length, hidden_size].
            additive_mask: added to the scores, [n, 1, 1, length].
            training: whether values are dropped.
        """
        query, key, value = (self._by_head(layer(hidden)) for layer in (self.query, self.key, self.value))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * (1.0 / math.sqrt(self._depth))
        weights = ops.softmax(scores + ops.cast(additive_mask, scores.dtype), axis=-1)
        context = ops.matmul(self.attention_dropout(weights, training=training), value)
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), ops.shape(hidden))
        projected = self.dropout(self.output_projection(context), training=training)
        return _normed(self, hidden + projected)

    def compute_output_spec(self, hidden: Any, additive_mask: Any, training: bool = False) -> Any:
        """As `call`, without computing."""
        return keras.KerasTensor(hidden.shape, dtype=self.compute_dtype)

    def _by_head(self, projected: Any) -> Any:
        """[n, heads, length, depth]."""
        length = ops.shape(projected)[1]
        return ops.transpose(ops.reshape(projected, (-1, length, self._heads, self._depth)), (0, 2, 1, 3))


@keras.saving.register_keras_serializable(package="tfperf")
class FeedForward(PartOfBert):
    """Two dense layers with GELU between them, their residual sum and layer normalisation."""

    def __init__(self, *, encoder: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(encoder=encoder, **kwargs)
        size = self.size
        self.intermediate = self.dense(size.intermediate_size, "intermediate")
        self.output_projection = self.dense(size.hidden_size, "output")
        self.layer_norm = layer_norm()
        self.dropout = keras.layers.Dropout(size.dropout, dtype=self.dtype_policy)

    def build(self, hidden_shape: Any) -> None:
        """Makes the dense layers."""
        self.intermediate.build(hidden_shape)
        self.output_projection.build((*hidden_shape[:-1], self.size.intermediate_size))
        self.layer_norm.build(hidden_shape)

    def call(self, hidden: Any, training: bool = False) -> Any:
        """[n, length, hidden_size] -> the same shape."""
        wide = gelu(self.intermediate(hidden), self.size.activation)
        return _normed(self, hidden + self.dropout(self.output_projection(wide), training=training))


@keras.saving.register_keras_serializable(package="tfperf")
class TransformerLayer(PartOfBert):
    """Self-attention, then the feed-forward layers."""

    def __init__(self, *, encoder: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(encoder=encoder, **kwargs)
        self.attention = SelfAttention(encoder=encoder, name="attention", dtype=self.dtype_policy)
        self.feed_forward = FeedForward(encoder=encoder, name="feed_forward", dtype=self.dtype_policy)

    def build(self, hidden_shape: Any, additive_mask_shape: Any) -> None:
        """Builds both parts."""
        self.attention.build(hidden_shape, additive_mask_shape)
        self.feed_forward.build(hidden_shape)

    def call(self, hidden: Any, additive_mask: Any, training: bool = False) -> Any:
        """[n, length, hidden_size] -> the same shape."""
        attended = self.attention(hidden, additive_mask, training=training)
        return self.feed_forward(attended, training=training)

    def compute_output_spec(self, hidden: Any, additive_mask: Any, training: bool = False) -> Any:
        """As `call`, without computing."""
        return keras.KerasTensor(hidden.shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="tfperf")
class AttentionMask(keras.layers.Layer):  # type: ignore[misc]
    """What is added to attention scores: 0 for tokens, -10000 for padding."""

    def call(self, input_mask: Any) -> Any:
        """int32 [n, length] -> [n, 1, 1, length]."""
        added = (1.0 - ops.cast(input_mask, self.compute_dtype)) * _MASKED
        return ops.expand_dims(ops.expand_dims(added, 1), 1)


@keras.saving.register_keras_serializable(package="tfperf")
class FirstToken(keras.layers.Layer):  # type: ignore[misc]
    """The hidden state of [CLS]."""

    def call(self, hidden: Any) -> Any:
        """[n, length, hidden_size] -> [n, hidden_size]."""
        return hidden[:, 0]


def inputs(length: int | None) -> dict[str, keras.KerasTensor]:
    """The three int32 inputs [n, length] of BERT, by name."""
    return {
        name: keras.Input((length,), dtype="int32", name=name) for name in ("input_ids", "input_mask", "segment_ids")
    }


def encode(encoder: Encoder, taken: dict[str, keras.KerasTensor]) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Adds the encoder's layers to a functional model.

    Args:
        encoder: the encoder's size.
        taken: as `inputs` gives them.

    Returns:
        The hidden states [n, length, hidden_size] after the last layer, and the table of word embeddings
        [vocabulary_size, hidden_size].
    """
    fields = as_dict(encoder)
    hidden, table = TokenEmbeddings(encoder=fields, name="embeddings")(taken["input_ids"], taken["segment_ids"])
    mask = AttentionMask(name="attention_mask")(taken["input_mask"])
    for number in range(encoder.layers):
        hidden = TransformerLayer(encoder=fields, name=f"layer_{number}")(hidden, mask)
    return hidden, table


def pooled(encoder: Encoder, hidden: keras.KerasTensor) -> keras.KerasTensor:
    """The pooler: tanh of a dense layer over [CLS], [n, hidden_size]."""
    dense = keras.layers.Dense(
        encoder.hidden_size, activation="tanh", kernel_initializer=initializer(encoder), name="pooler"
    )
    return dense(FirstToken(name="first_token")(hidden))


def as_dict(encoder: Encoder) -> dict[str, Any]:
    """The fields of an encoder, which a layer keeps in its config."""
    return dict(vars(encoder))


def gelu(values: Any, activation: Activation) -> Any:
    """The Gaussian error linear unit, exact or approximated by tanh."""
    return ops.gelu(values, approximate=activation == "gelu_tanh")


def _normed(layer: Any, summed: Any) -> Any:
    """The layer's normalisation in float32, in the type that the layer computes in."""
    return ops.cast(layer.layer_norm(summed), layer.compute_dtype)


def layer_norm() -> keras.layers.LayerNormalization:
    """The normalisation of each part, in float32."""
    return keras.layers.LayerNormalization(epsilon=_EPSILON, dtype="float32", name="layer_norm")


def initializer(encoder: Encoder) -> keras.initializers.Initializer:
    """That of all matrices and tables."""
    return keras.initializers.TruncatedNormal(stddev=encoder.initializer_range)
