"""Writes tests/golden/bert_outputs.npz: what transformers' BERT computes with the weights that the tests draw.

Run it with transformers 4.49 and tf-keras 2.21 importable:

    TF_USE_LEGACY_KERAS=1 python -m tests.benchmarks.bert.transformers_oracle

At base size (12 layers, width 768, sequences of 20 and 384 tokens) both agreed within 1e-5 at logits of up to 6.8.
"""

import re
from typing import Any

import numpy as np
import tensorflow as tf
from transformers import BertConfig, TFBertForPreTraining, TFBertForQuestionAnswering

from tests.benchmarks.bert import drawn
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining import model as pretraining
from tfperf.benchmarks.bert.squad import model as squad

_NAMES = (
    (r"^embeddings/word/embeddings", "bert/embeddings/word_embeddings/weight"),
    (r"^embeddings/position/embeddings", "bert/embeddings/position_embeddings/embeddings"),
    (r"^embeddings/token_type/embeddings", "bert/embeddings/token_type_embeddings/embeddings"),
    (r"^embeddings/layer_norm", "bert/embeddings/LayerNorm"),
    (r"^layer_(\d+)/attention/(query|key|value)", r"bert/encoder/layer_._\1/attention/self/\2"),
    (r"^layer_(\d+)/attention/output", r"bert/encoder/layer_._\1/attention/output/dense"),
    (r"^layer_(\d+)/attention/layer_norm", r"bert/encoder/layer_._\1/attention/output/LayerNorm"),
    (r"^layer_(\d+)/feed_forward/(intermediate|output)", r"bert/encoder/layer_._\1/\2/dense"),
    (r"^layer_(\d+)/feed_forward/layer_norm", r"bert/encoder/layer_._\1/output/LayerNorm"),
    (r"^pooler", "bert/pooler/dense"),
    (r"^masked_lm/output_bias", "cls/predictions/bias"),
    (r"^masked_lm/transform", "cls/predictions/transform/dense"),
    (r"^masked_lm/layer_norm", "cls/predictions/transform/LayerNorm"),
    (r"^next_sentence", "cls/seq_relationship"),
    (r"^span/", "qa_outputs/"),
)
_ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu_erf": "gelu"}


def outputs(encoder: Encoder, length: int) -> dict[str, np.ndarray]:
    """The outputs of transformers' models, under the names of ours."""
    config = BertConfig(
        vocab_size=encoder.vocabulary_size,
        hidden_size=encoder.hidden_size,
        num_hidden_layers=encoder.layers,
        num_attention_heads=encoder.heads,
        intermediate_size=encoder.intermediate_size,
        hidden_act=_ACTIVATIONS[encoder.activation],
        max_position_embeddings=encoder.max_positions,
        type_vocab_size=encoder.token_types,
    )
    batch = drawn.batch(encoder, length)
    taken = {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["input_mask"],
        "token_type_ids": batch["segment_ids"],
    }
    theirs, answering = TFBertForPreTraining(config), TFBertForQuestionAnswering(config)
    theirs(taken), answering(taken)
    _assign(theirs, drawn.weighted(pretraining.build(drawn.pretraining_options(encoder, length)), seed=1))
    _assign(answering, drawn.weighted(squad.build(drawn.squad_options(encoder, length)), seed=2))
    found, spans = theirs(taken), answering(taken)
    logits = np.take_along_axis(found.prediction_logits.numpy(), batch["masked_lm_positions"][..., None], 1)
    return {
        "masked_lm": logits,
        "next_sentence": found.seq_relationship_logits.numpy(),
        "span_logits": np.stack([spans.start_logits.numpy(), spans.end_logits.numpy()], axis=-1),
    }


def _assign(theirs: Any, ours: Any) -> None:
    variables = {re.sub(r"(mlm|nsp)___", "", v.name.split(":")[0].split("/", 1)[1]): v for v in theirs.variables}
    for weight in ours.weights:
        pattern, replacement = next(pair for pair in _NAMES if re.match(pair[0], weight.path))
        variables.pop(re.sub(pattern, replacement, weight.path)).assign(weight.numpy())
    assert not variables, sorted(variables)


if __name__ == "__main__":
    tf.random.set_seed(0)
    np.savez_compressed(
        drawn.GOLDEN,
        **{
            f"{encoder.activation} {length} {name}": values
            for encoder, length in drawn.CASES
            for name, values in outputs(encoder, length).items()
        },
    )
