"""Drawn weights and batches for BERT models of any size."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np

from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.squad.options import SquadOptions

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "bert_outputs.npz"
TINY = Encoder(hidden_size=32, layers=2, heads=4, intermediate_size=64, vocabulary_size=100, max_positions=64)
EXACT = dataclasses.replace(TINY, activation="gelu_erf")
CASES = ((TINY, 16), (TINY, 41), (EXACT, 41))
PREDICTIONS = 5


def pretraining_options(encoder: Encoder, length: int) -> PretrainingOptions:
    return PretrainingOptions(encoder=encoder, sequence_length=length, predictions=PREDICTIONS)


def squad_options(encoder: Encoder, length: int) -> SquadOptions:
    return SquadOptions(encoder=encoder, sequence_length=length, question_length=4)


def weighted(model: Any, *, seed: int) -> Any:
    """The model with drawn weights."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        scale = 0.05 if "kernel" in weight.path or "embeddings" in weight.path else 0.1
        values = scale * random.normal(size=weight.shape) + ("gamma" in weight.path)
        weight.assign(values.astype(np.float32))
    return model


def batch(encoder: Encoder, length: int) -> dict[str, np.ndarray]:
    """Three sequences, two of them padded, as pre-training takes them."""
    random = np.random.default_rng(3)
    ends = np.array([[length], [length * 2 // 3], [PREDICTIONS]])
    return {
        "input_ids": random.integers(0, encoder.vocabulary_size, (3, length)).astype(np.int32),
        "input_mask": (np.arange(length) < ends).astype(np.int32),
        "segment_ids": np.repeat((np.arange(length) > length // 2)[None], 3, axis=0).astype(np.int32),
        "masked_lm_positions": random.integers(0, PREDICTIONS, (3, PREDICTIONS)).astype(np.int32),
    }


def tokens_of(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs that question answering takes."""
    return {name: values for name, values in batch.items() if name != "masked_lm_positions"}
