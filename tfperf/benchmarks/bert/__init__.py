"""BERT: MLPerf Training's `bert`, Inference's `bert-99` and `bert-99.9`, fine-tuning on SQuAD, and a small network."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, OpenData, QualityTarget, TrainingTask
from tfperf.benchmarks.bert import rules
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.source import SOURCES
from tfperf.benchmarks.bert.squad import serving, sources
from tfperf.benchmarks.bert.squad.options import SquadOptions

if TYPE_CHECKING:
    import keras
    import numpy as np


def _find_weights(options: PretrainingOptions | SquadOptions, data_dir: pathlib.Path | None) -> None:
    from tfperf.benchmarks.bert.checkpoints import initial

    initial.check(options, data_dir)


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

    _find_weights(options, data_dir)
    return pretraining.open_data(data, options, data_dir)


def _build_squad(options: SquadOptions) -> keras.Model:
    from tfperf.benchmarks.bert.squad import model

    return model.build(options)


def _compile_squad(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: SquadOptions) -> None:
    from tfperf.benchmarks.bert.squad import model as squad

    squad.compile_model(model, optimizer, options)


def _open_squad(data: spec.Data, options: SquadOptions, data_dir: pathlib.Path | None) -> OpenData:
    from tfperf.benchmarks.bert.squad import data as squad

    _find_weights(options, data_dir)
    return squad.open_data(data, options, data_dir)


def _initial_weights(
    options: PretrainingOptions | SquadOptions, data_dir: pathlib.Path | None
) -> Mapping[str, np.ndarray | None] | None:
    from tfperf.benchmarks.bert.checkpoints import initial

    return initial.initial_weights(options, data_dir)


# Target, counts, runs and cadence: training_rules.adoc of mlcommons/training_policies and closed_bert.yaml of
# mlcommons/logging, ruleset 5.0.0, the last round with BERT. The rules fix the text, not the number of records in its
# 500 files. The parameters are those of BERT-large with both heads.
BENCHMARK = Benchmark(
    name="bert",
    mlperf=True,
    training=TrainingTask(
        quality=QualityTarget(metric="masked_lm_accuracy", value=0.72),
        ruleset="5.0.0",
        submission_benchmark="bert",
        eval_examples=10_000,
        evaluation_interval=rules.evaluation_interval,
        runs=10,
        parameters=336_226_108,
        options=PretrainingOptions(),
        left_to_rules=("checkpoint",),
        sources=SOURCES,
        build_model=_build_pretraining,
        compile_model=_compile_pretraining,
        open_data=_open_pretraining,
        rules=rules.training,
        initial_weights=_initial_weights,
        find_weights=_find_weights,
    ),
    inference=serving.BERT_99,
)
BERT_99_9 = Benchmark(name="bert_99_9", mlperf=True, inference=serving.BERT_99_9)

# MLPerf has no such task: this makes the network that bert-99 and bert-99.9 serve. The target is just above the 0.8997
# of bert-99; the published fine-tuning of BERT-large reaches 0.9087 (README of google-research/bert).
SQUAD = Benchmark(
    name="bert_squad",
    training=TrainingTask(
        quality=QualityTarget(metric="f1", value=0.90),
        ruleset="5.0.0",
        submission_benchmark="bert",
        options=SquadOptions(),
        sources=sources.SOURCES,
        build_model=_build_squad,
        compile_model=_compile_squad,
        open_data=_open_squad,
        initial_weights=_initial_weights,
        find_weights=_find_weights,
    ),
)

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
        find_weights=_find_weights,
    ),
)
# The questions are learned by comparing words, which starts sooner with more heads and larger initial weights.
_MINI_WINDOWS = SquadOptions(
    encoder=dataclasses.replace(_MINI_ENCODER, heads=8, intermediate_size=256, initializer_range=0.15),
    sequence_length=48,
    stride=24,
    question_length=16,
)

MINI_SQUAD = Benchmark(
    name="bert_mini_squad",
    mini_of="bert",
    training=TrainingTask(
        quality=QualityTarget(metric="f1", value=0.9),
        ruleset="5.0.0",
        submission_benchmark="bert",
        options=_MINI_WINDOWS,
        sources=(sources.ShapeQuestions, sources.SquadFiles),
        build_model=_build_squad,
        compile_model=_compile_squad,
        open_data=_open_squad,
        initial_weights=_initial_weights,
        find_weights=_find_weights,
    ),
    inference=serving.open_task(_MINI_WINDOWS, reference_f1=0.9, lengths=(24, 32, 48)),
)
BENCHMARKS = (BENCHMARK, BERT_99_9, SQUAD, MINI, MINI_SQUAD)
