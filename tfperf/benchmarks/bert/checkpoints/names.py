"""What the tensors of BERT's checkpoints are called, and which variables they are.

Sources: `modeling.py` and `run_pretraining.py` of mlcommons/training (TF1),
`tf2_bert_encoder_checkpoint_converter.py` of tensorflow/models, which made MLPerf's TF2 checkpoint, and
`modeling_bert.py` of transformers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from tfperf.benchmarks.bert.encoder_config import Encoder

Head = Literal["pooler", "masked_lm", "next_sentence", "span"]
HEADS: tuple[Head, ...] = ("pooler", "masked_lm", "next_sentence", "span")

# How a tensor lies in the file: like the variable, with its axes reversed, or with the attention heads as an axis.
Layout = Literal["same", "reversed", "heads"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where a tensor of a file belongs.

    Attributes:
        path: the variable.
        layout: how the tensor lies in the file.
    """

    path: str
    layout: Layout = "same"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """One way to name BERT's tensors.

    Attributes:
        title: the name of the format, for messages.
        rules: patterns of names, each with a path and a layout; `{layer}` and `{part}` are groups of the pattern.
        ignored: the pattern of names that are no weights of the network, such as the slots of optimizers.
        first_layer: the number of the first transformer layer.
        may_lack: the heads that files of the format need not have, whatever they are for.
    """

    title: str
    rules: tuple[tuple[str, str, Layout], ...]
    ignored: str
    first_layer: int = 0
    may_lack: tuple[Head, ...] = ()

    def source(self, name: str) -> Source | None:
        """Where a tensor belongs, or None if the format has no such name."""
        for pattern, path, layout in self.rules:
            if found := re.fullmatch(pattern, name):
                groups = found.groupdict()
                if "layer" in groups:
                    number = int(groups["layer"]) - self.first_layer
                    if number < 0:
                        continue
                    groups["layer"] = str(number)
                return Source(path=path.format(**groups), layout=layout)
        return None

    def ignores(self, name: str) -> bool:
        """Whether a tensor is no weight of the network."""
        return re.fullmatch(self.ignored, name) is not None


_KERNEL_BIAS, _NORM = "(?P<part>kernel|bias)", "(?P<part>gamma|beta)"
_LAYER = r"bert/encoder/layer_(?P<layer>\d+)"

TF1 = Format(
    title="TF1 checkpoint",
    rules=(
        (r"bert/embeddings/(?P<part>word|position|token_type)_embeddings", "embeddings/{part}/embeddings", "same"),
        (rf"bert/embeddings/LayerNorm/{_NORM}", "embeddings/layer_norm/{part}", "same"),
        (
            rf"{_LAYER}/attention/self/(?P<role>query|key|value)/{_KERNEL_BIAS}",
            "layer_{layer}/attention/{role}/{part}",
            "same",
        ),
        (rf"{_LAYER}/attention/output/dense/{_KERNEL_BIAS}", "layer_{layer}/attention/output/{part}", "same"),
        (rf"{_LAYER}/attention/output/LayerNorm/{_NORM}", "layer_{layer}/attention/layer_norm/{part}", "same"),
        (
            rf"{_LAYER}/(?P<role>intermediate|output)/dense/{_KERNEL_BIAS}",
            "layer_{layer}/feed_forward/{role}/{part}",
            "same",
        ),
        (rf"{_LAYER}/output/LayerNorm/{_NORM}", "layer_{layer}/feed_forward/layer_norm/{part}", "same"),
        (rf"bert/pooler/dense/{_KERNEL_BIAS}", "pooler/{part}", "same"),
        (rf"cls/predictions/transform/dense/{_KERNEL_BIAS}", "masked_lm/transform/{part}", "same"),
        (rf"cls/predictions/transform/LayerNorm/{_NORM}", "masked_lm/layer_norm/{part}", "same"),
        (r"cls/predictions/output_bias", "masked_lm/output_bias", "same"),
        (r"cls/seq_relationship/output_weights", "next_sentence/kernel", "reversed"),
        (r"cls/seq_relationship/output_bias", "next_sentence/bias", "same"),
        (r"cls/squad/output_weights", "span/kernel", "reversed"),
        (r"cls/squad/output_bias", "span/bias", "same"),
    ),
    ignored=r".*/(adam_[mv]|lamb_[mv]|Adam(_1)?|LAMB(_1)?|accum.*)|global_step|good_steps|loss_scale"
    r"|.*beta[12]_power|accum.*|local_step",
)

_VALUE = r"/\.ATTRIBUTES/VARIABLE_VALUE"
# The objects between the checkpoint's root and the network depend on what was saved.
_NETWORK = r"(?:[^/]+/)*"
_TF2_LAYER = rf"{_NETWORK}layer_with_weights-(?P<layer>\d+)"
_TF2_HEAD = rf"{_NETWORK}masked_lm"

TF2 = Format(
    title="TF2 checkpoint",
    rules=(
        (rf"{_NETWORK}layer_with_weights-0/embeddings{_VALUE}", "embeddings/word/embeddings", "same"),
        (rf"{_NETWORK}layer_with_weights-1/embeddings{_VALUE}", "embeddings/position/embeddings", "same"),
        (rf"{_NETWORK}layer_with_weights-2/embeddings{_VALUE}", "embeddings/token_type/embeddings", "same"),
        (rf"{_NETWORK}layer_with_weights-3/{_NORM}{_VALUE}", "embeddings/layer_norm/{part}", "same"),
        (
            rf"{_TF2_LAYER}/_attention_layer/_(?P<role>query|key|value)_dense/{_KERNEL_BIAS}{_VALUE}",
            "layer_{layer}/attention/{role}/{part}",
            "heads",
        ),
        (
            # Model garden moved the output projection into the attention layer in 2020.
            rf"{_TF2_LAYER}/(_attention_layer/_|_attention_)output_dense/{_KERNEL_BIAS}{_VALUE}",
            "layer_{layer}/attention/output/{part}",
            "heads",
        ),
        (rf"{_TF2_LAYER}/_attention_layer_norm/{_NORM}{_VALUE}", "layer_{layer}/attention/layer_norm/{part}", "same"),
        (
            rf"{_TF2_LAYER}/_(?P<role>intermediate|output)_dense/{_KERNEL_BIAS}{_VALUE}",
            "layer_{layer}/feed_forward/{role}/{part}",
            "same",
        ),
        (rf"{_TF2_LAYER}/_output_layer_norm/{_NORM}{_VALUE}", "layer_{layer}/feed_forward/layer_norm/{part}", "same"),
        (rf"{_TF2_LAYER}/{_KERNEL_BIAS}{_VALUE}", "pooler/{part}", "same"),
        (rf"next_sentence\.\.pooler_dense/{_KERNEL_BIAS}{_VALUE}", "pooler/{part}", "same"),
        (rf"{_TF2_HEAD}/dense/{_KERNEL_BIAS}{_VALUE}", "masked_lm/transform/{part}", "same"),
        (rf"{_TF2_HEAD}/layer_norm/{_NORM}{_VALUE}", "masked_lm/layer_norm/{part}", "same"),
        (rf"{_TF2_HEAD}/(output_bias\.S)?bias{_VALUE}", "masked_lm/output_bias", "same"),
    ),
    ignored=rf"_CHECKPOINTABLE_OBJECT_GRAPH|save_counter{_VALUE}|.*/\.OPTIMIZER_SLOT/.*|optimizer/.*",
    first_layer=4,
    # The converter writes the encoder alone, or with the masked-LM head, but never the next-sentence head.
    may_lack=("masked_lm", "next_sentence"),
)

_HF_LAYER = r"(bert\.)?encoder\.layer\.(?P<layer>\d+)"
_KERNEL_AND_BIAS: tuple[tuple[str, str, Layout], ...] = (("weight", "kernel", "reversed"), ("bias", "bias", "same"))

SAFETENSORS = Format(
    title="safetensors file",
    rules=(
        (
            r"(bert\.)?embeddings\.(?P<part>word|position|token_type)_embeddings\.weight",
            "embeddings/{part}/embeddings",
            "same",
        ),
        *(
            (rf"{theirs}\.{there}", f"{ours}/{here}", "same")
            for theirs, ours in (
                (r"(bert\.)?embeddings\.LayerNorm", "embeddings/layer_norm"),
                (rf"{_HF_LAYER}\.attention\.output\.LayerNorm", "layer_{layer}/attention/layer_norm"),
                (rf"{_HF_LAYER}\.output\.LayerNorm", "layer_{layer}/feed_forward/layer_norm"),
                (r"cls\.predictions\.transform\.LayerNorm", "masked_lm/layer_norm"),
            )
            for there, here in (("(weight|gamma)", "gamma"), ("(bias|beta)", "beta"))
        ),
        *(
            (rf"{theirs}\.{there}", f"{ours}/{here}", layout)
            for theirs, ours in (
                (
                    rf"{_HF_LAYER}\.attention\.self\.(?P<role>query|key|value)",
                    "layer_{layer}/attention/{role}",
                ),
                (rf"{_HF_LAYER}\.attention\.output\.dense", "layer_{layer}/attention/output"),
                (rf"{_HF_LAYER}\.(?P<role>intermediate|output)\.dense", "layer_{layer}/feed_forward/{role}"),
                (r"(bert\.)?pooler\.dense", "pooler"),
                (r"cls\.predictions\.transform\.dense", "masked_lm/transform"),
                (r"cls\.seq_relationship", "next_sentence"),
                (r"qa_outputs", "span"),
            )
            for there, here, layout in _KERNEL_AND_BIAS
        ),
        (r"cls\.predictions\.(decoder\.)?bias", "masked_lm/output_bias", "same"),
        (r"cls\.predictions\.decoder\.weight", "embeddings/word/embeddings", "same"),
    ),
    ignored=r"(bert\.)?embeddings\.position_ids",
)


def shapes(encoder: Encoder, heads: Iterable[Head]) -> Mapping[str, tuple[int, ...]]:
    """The shape of each variable of an encoder with some heads, by its path."""
    width, wide, words = encoder.hidden_size, encoder.intermediate_size, encoder.vocabulary_size
    found: dict[str, tuple[int, ...]] = {
        "embeddings/word/embeddings": (words, width),
        "embeddings/position/embeddings": (encoder.max_positions, width),
        "embeddings/token_type/embeddings": (encoder.token_types, width),
        **_norm("embeddings", width),
    }
    for number in range(encoder.layers):
        attention, feed_forward = f"layer_{number}/attention", f"layer_{number}/feed_forward"
        for role in ("query", "key", "value", "output"):
            found |= _dense(f"{attention}/{role}", width, width)
        found |= _norm(attention, width)
        found |= _dense(f"{feed_forward}/intermediate", width, wide) | _dense(f"{feed_forward}/output", wide, width)
        found |= _norm(feed_forward, width)
    of_heads: Mapping[Head, Mapping[str, tuple[int, ...]]] = {
        "pooler": _dense("pooler", width, width),
        "masked_lm": {
            **_dense("masked_lm/transform", width, width),
            **_norm("masked_lm", width),
            "masked_lm/output_bias": (words,),
        },
        "next_sentence": _dense("next_sentence", width, 2),
        "span": _dense("span", width, 2),
    }
    for head in heads:
        found |= of_heads[head]
    return found


def shape_in_file(source: Source, shape: tuple[int, ...], encoder: Encoder) -> tuple[int, ...]:
    """The shape in which a variable lies in a file."""
    if source.layout == "reversed":
        return shape[::-1]
    if source.layout == "same":
        return shape
    by_head = (encoder.heads, encoder.hidden_size // encoder.heads)
    if "/output/" in source.path:
        return shape if len(shape) == 1 else (*by_head, shape[1])
    return (*shape[:-1], *by_head)


def head_of(path: str) -> Head | None:
    """The head that a variable belongs to, or None if it is the encoder's."""
    return next((head for head in HEADS if path.startswith(f"{head}/")), None)


def _dense(path: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{path}/kernel": (inputs, outputs), f"{path}/bias": (outputs,)}


def _norm(path: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{path}/layer_norm/gamma": (width,), f"{path}/layer_norm/beta": (width,)}
