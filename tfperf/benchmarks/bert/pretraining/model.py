"""BERT with its masked-LM and next-sentence heads, their losses and metrics.

Source: `run_pretraining.py` of mlcommons/training (retired_benchmarks/bert).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfperf.benchmarks.bert import encoder as bert
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions

_NO_DIVISION_BY_ZERO = 1e-5  # as the reference has it


@keras.saving.register_keras_serializable(package="tfperf")
class MaskedLmHead(bert.PartOfBert):
    """Predicts the words at masked positions; its decoder is the table of word embeddings."""

    def __init__(self, *, encoder: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(encoder=encoder, **kwargs)
        self.transform = self.dense(self.size.hidden_size, "transform")
        self.layer_norm = bert.layer_norm()

    def build(self, hidden_shape: Any, positions_shape: Any, table_shape: Any) -> None:
        """Makes the transform and the bias of each word."""
        self.transform.build(hidden_shape)
        self.layer_norm.build(hidden_shape)
        self.output_bias = self.add_weight(shape=(table_shape[0],), initializer="zeros", name="output_bias")

    def call(self, hidden: Any, positions: Any, table: Any) -> Any:
        """The logits.

        Args:
            hidden: [n, length, hidden_size].
            positions: int32 [n, predictions].
            table: [vocabulary_size, hidden_size].

        Returns:
            float32 [n, predictions, vocabulary_size].
        """
        masked = ops.take_along_axis(hidden, ops.expand_dims(positions, -1), axis=1)
        transformed = bert.gelu(self.transform(masked), self.size.activation)
        normed = ops.cast(self.layer_norm(transformed), self.compute_dtype)
        logits = ops.matmul(normed, ops.transpose(ops.cast(table, self.compute_dtype)))
        return ops.cast(logits, "float32") + ops.cast(self.output_bias, "float32")

    def compute_output_spec(self, hidden: Any, positions: Any, table: Any) -> Any:
        """As `call`, without computing."""
        return keras.KerasTensor((*positions.shape, table.shape[0]), dtype="float32")


class MaskedLmLoss(keras.losses.Loss):  # type: ignore[misc]
    """The mean cross entropy of the masked words of a batch.

    As in the reference each replica divides by the masked words of its own share of the batch, so replicas with few of
    them weigh as much as others: the sum over the replicas is that of one device only if the counts are equal.
    """

    def __init__(self) -> None:
        super().__init__(name="masked_lm_loss")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of a batch, divided by the number of replicas, as Keras's losses are.

        Args:
            y_true: int [n, predictions]; -1 is no prediction.
            y_pred: float32 [n, predictions, vocabulary_size].
            sample_weight: [n]; None counts all examples.
        """
        words, weights = _words_and_weights(y_true, sample_weight)
        losses = ops.sparse_categorical_crossentropy(words, ops.cast(y_pred, "float32"), from_logits=True)
        mean = ops.sum(weights * losses) / (ops.sum(weights) + _NO_DIVISION_BY_ZERO)
        return mean / tf.distribute.get_strategy().num_replicas_in_sync


class MaskedLmAccuracy(keras.metrics.Mean):  # type: ignore[misc]
    """The share of masked words that have the highest logit, over all batches and replicas."""

    def __init__(self) -> None:
        super().__init__(name="accuracy")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch; the arguments are those of `MaskedLmLoss`."""
        words, weights = _words_and_weights(y_true, sample_weight)
        right = ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), words)
        super().update_state(ops.cast(right, "float32"), sample_weight=weights)


def build(options: PretrainingOptions) -> keras.Model:
    """The untrained model, from tokens to logits in float32: `masked_lm` and `next_sentence`."""
    taken = bert.inputs(options.sequence_length)
    positions = keras.Input((options.predictions,), dtype="int32", name="masked_lm_positions")
    hidden, table = bert.encode(options.encoder, taken)
    masked_lm = MaskedLmHead(encoder=bert.as_dict(options.encoder), name="masked_lm")(hidden, positions, table)
    next_sentence = keras.layers.Dense(
        2,
        kernel_initializer=bert.initializer(options.encoder),
        dtype="float32",
        name="next_sentence",
    )(bert.pooled(options.encoder, hidden))
    return keras.Model(
        {**taken, "masked_lm_positions": positions},
        {"masked_lm": masked_lm, "next_sentence": next_sentence},
        name="bert_pretraining",
    )


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: PretrainingOptions) -> None:
    """Gives the model its optimizer, the sum of both losses, and `masked_lm_accuracy` and `next_sentence_accuracy`.

    Examples of weight 0 don't count.
    """
    next_sentence = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight", name="next_sentence_loss"
    )
    model.compile(
        optimizer,
        {"masked_lm": MaskedLmLoss(), "next_sentence": next_sentence},
        weighted_metrics={
            "masked_lm": [MaskedLmAccuracy()],
            "next_sentence": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        },
        jit_compile=False,
    )


def _words_and_weights(y_true: Any, sample_weight: Any) -> tuple[Any, Any]:
    """The masked words, and 1 for each that counts."""
    y_true = ops.cast(y_true, "int32")
    weights = ops.cast(y_true >= 0, "float32")
    if sample_weight is not None:
        weights = weights * ops.reshape(ops.cast(sample_weight, "float32"), (-1, 1))
    return ops.maximum(y_true, 0), weights
