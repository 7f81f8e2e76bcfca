"""BERT with the head that finds the span of an answer, and its loss.

Source: `run_squad.py` of google-research/bert, which MLPerf's reference for inference trained.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfperf.benchmarks.bert import encoder as bert
from tfperf.benchmarks.bert.squad.options import SquadOptions


class SpanLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """The mean of the cross entropies of the answer's start and end over the positions of the window."""

    def __init__(self) -> None:
        super().__init__(name="span_loss", reduction="mean_with_sample_weight")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each example, [n].

        Args:
            y_true: int [n, 2 or more]: start, end, and what only the scorer reads.
            y_pred: float32 [n, length, 2].
        """
        logits = ops.transpose(ops.cast(y_pred, "float32"), (0, 2, 1))
        spans = ops.cast(y_true, "int32")[:, :2]
        return ops.mean(ops.sparse_categorical_crossentropy(spans, logits, from_logits=True), axis=-1)


def build(options: SquadOptions) -> keras.Model:
    """The untrained model, from windows of any length to `span_logits`, float32 [n, length, 2]: start and end."""
    taken = bert.inputs(None)
    hidden, _ = bert.encode(options.encoder, taken)
    logits = keras.layers.Dense(
        2,
        kernel_initializer=bert.initializer(options.encoder),
        name="span",
    )(hidden)
    return keras.Model(
        taken, keras.layers.Activation("linear", dtype="float32", name="span_logits")(logits), name="bert_squad"
    )


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: SquadOptions) -> None:
    """Gives the model its optimizer and its loss; the quality is computed on the host."""
    model.compile(optimizer, SpanLoss(), jit_compile=False)
