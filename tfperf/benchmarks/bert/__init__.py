"""BERT: masked-LM pre-training of a small network, on embedded captions or on TFRecords of text."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, OpenData, QualityTarget, TrainingTask
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.source import SOURCES

if TYPE_CHECKING:
    import keras
    import numpy as np


def _build_pretraining(options: PretrainingOptions) -> keras.Model:
    from tfperf.benchmarks.bert.pretraining import model

    return model.build(options)


def _compile_pretraining(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, options: PretrainingOptions
) -> None:
    from tfperf.benchmarks.bert.pretraining import model as pretraining

    pretraining.compile_model(model, optimizer, options)


def _open_pretraining(data: spec.Data, options: PretrainingOptions, data_dir: pathlib.Path | None) -> OpenData:
    from tfperf.benchmarks.bert.pretraining import data as pretraining

    return pretraining.open_data(data, options, data_dir)


def _initial_weights(
    options: PretrainingOptions, data_dir: pathlib.Path | None
) -> Mapping[str, np.ndarray | None] | None:
    from tfperf.benchmarks.bert.checkpoints import initial

    return initial.initial_weights(options, data_dir)


_MINI_ENCODER = Encoder(
    hidden_size=128,
    layers=2,
    heads=2,
    intermediate_size=512,
    vocabulary_size=44,
    max_positions=128,
    dropout=0.0,
    attention_dropout=0.0,
)

MINI = Benchmark(
    name="bert_mini",
    mini_of="bert",
    training=TrainingTask(
        quality=QualityTarget(metric="masked_lm_accuracy", value=0.65),
        ruleset="5.0.0",
        submission_benchmark="bert",
        runs=10,
        options=PretrainingOptions(encoder=_MINI_ENCODER, sequence_length=64, predictions=10),
        sources=SOURCES,
        build_model=_build_pretraining,
        compile_model=_compile_pretraining,
        open_data=_open_pretraining,
        initial_weights=_initial_weights,
    ),
)
BENCHMARKS = (MINI,)
