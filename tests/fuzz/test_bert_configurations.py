"""Whatever the configuration beside a checkpoint of BERT holds, it becomes the size of an encoder or a message."""

import json
import pathlib
import random

import pytest

from tests.fuzz.mutation import ODD_VALUES, damaged, run_all, seeds, with_an_odd_value
from tfperf.benchmarks.bert import encoder_config
from tfperf.errors import UsageError

WHOLE = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 384,
    "initializer_range": 0.02,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 6,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}


@pytest.mark.parametrize("kind", ["bytes", "values"])
def test_damaged_configurations(kind: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config.json"

    def case(chance: random.Random) -> None:
        if kind == "bytes":
            path.write_bytes(damaged(json.dumps(WHOLE).encode(), chance))
        else:
            path.write_text(json.dumps(with_an_odd_value(WHOLE, chance)), encoding="utf-8")
        encoder_config.read(path)

    cases = [(f"{kind} {number}", lambda chance=chance: case(chance)) for number, chance in seeds(500)]
    ended = run_all(cases, accepted=(UsageError,))
    assert ended.keys() == {"accepted", "UsageError"}


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_each_key_with_each_odd_value(key: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bert_config.json"

    def case(value: object) -> None:
        path.write_text(json.dumps(WHOLE | {key: value}), encoding="utf-8")
        found = encoder_config.read(path)
        sizes = (found.hidden_size, found.layers, found.heads, found.vocabulary_size, found.max_positions)
        assert all(isinstance(size, int) for size in sizes), sizes

    cases = [(f"{key}={value!r:.40}", lambda value=value: case(value)) for value in (*ODD_VALUES, 12.5, 12.0)]
    run_all(cases, accepted=(UsageError,))
