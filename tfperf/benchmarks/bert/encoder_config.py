"""The size of a BERT encoder, as BERT's own configuration file gives it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Literal

from tfperf import json_text
from tfperf.errors import UsageError
from tfperf.spec.requirement import require

Activation = Literal["gelu_tanh", "gelu_erf"]

# bert_config.json's key -> the field here; transformers' config.json has the same keys.
_FIELDS: Mapping[str, str] = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocabulary_size",
    "max_position_embeddings": "max_positions",
    "type_vocab_size": "token_types",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "initializer_range": "initializer_range",
}
_OPTIONAL = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """The size of a BERT encoder; the defaults are BERT-large's.

    Args:
        hidden_size: width of the hidden states.
        layers: number of transformer layers.
        heads: attention heads in each layer; divides `hidden_size`.
        intermediate_size: width of the feed-forward layer.
        vocabulary_size: number of word pieces.
        max_positions: longest sequence, in tokens.
        token_types: number of segments.
        dropout: share of hidden values dropped in training.
        attention_dropout: share of attention weights dropped in training.
        initializer_range: standard deviation of the truncated normal initialisers.
        activation: `gelu_tanh` is the approximation in MLPerf's reference (`modeling.py`), `gelu_erf` the exact
            function, which transformers calls `gelu`.
    """

    hidden_size: int = 1024
    layers: int = 24
    heads: int = 16
    intermediate_size: int = 4096
    vocabulary_size: int = 30522
    max_positions: int = 512
    token_types: int = 2
    dropout: float = 0.1
    attention_dropout: float = 0.1
    initializer_range: float = 0.02
    activation: Activation = "gelu_tanh"

    def __post_init__(self) -> None:
        counts = ("hidden_size", "layers", "heads", "intermediate_size", "vocabulary_size", "max_positions")
        require(
            *((getattr(self, name) > 0, name, getattr(self, name), "1 or more") for name in (*counts, "token_types")),
            (
                self.heads < 1 or self.hidden_size % self.heads == 0,
                "heads",
                self.heads,
                f"a divisor of hidden_size={self.hidden_size}",
            ),
            *(
                (0 <= getattr(self, name) < 1, name, getattr(self, name), "0 to below 1")
                for name in ("dropout", "attention_dropout")
            ),
            (self.initializer_range > 0, "initializer_range", self.initializer_range, "more than 0"),
        )


def read(path: pathlib.Path) -> Encoder:
    """The encoder that `bert_config.json` of google-research/bert or `config.json` of transformers describes.

    Google's `gelu` is the approximation by tanh and transformers' is the exact function; a file with
    `model_type` is taken to be transformers'.

    Raises:
        UsageError: the file can't be read, or is no configuration of BERT; says which keys are missing or wrong.
    """
    try:
        found = json_text.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read as a configuration of BERT: {error}.") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} must hold one JSON object with the keys of BERT's configuration.")
    missing = [key for key in _FIELDS if key not in found and key not in _OPTIONAL]
    if missing:
        raise UsageError(f"{path} is not a configuration of BERT: it lacks {', '.join(missing)}.")
    values = {field: found[key] for key, field in _FIELDS.items() if key in found}
    for kind, wrong in (
        ("whole numbers", [key for key in _FIELDS if key not in _OPTIONAL and not _is_number(found[key], int)]),
        ("numbers", [key for key in _OPTIONAL if key in found and not _is_number(found[key], int, float)]),
    ):
        if wrong:
            raise UsageError(
                f"{path}: {', '.join(wrong)} must be {kind}, got {', '.join(repr(found[key])[:40] for key in wrong)}."
            )
    try:
        return Encoder(**values, activation=_activation(path, found))
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def _is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _activation(path: pathlib.Path, found: Mapping[str, Any]) -> Activation:
    name = found.get("hidden_act", "gelu")
    exact = "gelu_erf" if "model_type" in found else "gelu_tanh"
    accepted: Mapping[str, Activation] = {
        "gelu": exact,  # type: ignore[dict-item]
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
    }
    if not isinstance(name, str) or name not in accepted:
        raise UsageError(f"{path}: hidden_act must be one of {', '.join(accepted)}, got {repr(name)[:40]}.")
    return accepted[name]
