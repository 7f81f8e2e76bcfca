"""The rules of BERT's closed division, beyond those that all benchmarks share."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tfperf import spec as specs
from tfperf.benchmarks.bert.pretraining.source import PretrainingRecords
from tfperf.benchmarks.bert.squad.sources import SquadFiles
from tfperf.benchmarks.closed_rule import broken

_TRAINING = "training_rules.adoc"
_INFERENCE = "inference_rules.adoc"
_CHECKER = "submission_checker/constants.py"

# training_rules.adoc, "Evaluation": FLOOR(0.05 * (230.23 * GBS + 3000000), 25000) samples, without the one at 0.
_SHARE = 0.05
_SAMPLES_PER_BATCH_SIZE, _LEAST_SAMPLES = 230.23, 3_000_000
_EVALUATION_UNIT = 25_000

# The dataset.md of the reference (retired_benchmarks/bert of mlcommons/training): the files of the text, and the
# evaluation records that are picked from theirs. One file of text becomes one file of records.
_TRAIN_FILES, _EVAL_FILE = 500, "eval_10k"


def evaluation_interval(global_batch_size: int) -> int:
    """Training samples between two evaluations. Each comes at the first step at or after a multiple of them."""
    exact = _SHARE * (_SAMPLES_PER_BATCH_SIZE * global_batch_size + _LEAST_SAMPLES)
    return math.floor(exact / _EVALUATION_UNIT) * _EVALUATION_UNIT


def training(spec: specs.TrainSpec) -> Iterator[str]:
    """Each rule of training that the spec breaks."""
    every = evaluation_interval(spec.global_batch_size)
    if spec.evaluation.every_samples != every:
        accepted = f"{every} at global_batch_size={spec.global_batch_size}"
        yield broken("evaluation.every_samples", spec.evaluation.every_samples, accepted, _TRAINING)
    else:
        yield from _end(spec, every=every)
    yield from _training_data(spec.data.source)
    if not isinstance(spec.optimizer, specs.Lamb):
        yield broken("optimizer", type(spec.optimizer).__name__.lower(), "lamb", _TRAINING)
    elif spec.optimizer.clip_norm != 1.0:
        yield broken(
            "optimizer.lamb.clip_norm", spec.optimizer.clip_norm, "1.0, before or after the reduction", _TRAINING
        )
    if getattr(spec.model, "checkpoint", None) is None:
        accepted = "MLPerf's checkpoint of phase 1, model.ckpt-28252"
        yield broken("model.checkpoint", "null", accepted, _TRAINING)


def inference(spec: specs.InferSpec) -> Iterator[str]:
    """Each rule of inference that the spec breaks."""
    if not isinstance(spec.scenario, specs.SingleStream | specs.Offline):
        received = type(spec.scenario).__name__.lower()
        yield broken("scenario", received, "singlestream or offline, since BERT has no other in v6.1", _CHECKER)
    source = spec.data.source
    if isinstance(source, SquadFiles) and not source.lower_case:
        yield broken("data.source.squad.lower_case", "false", "true, since the model is uncased", _INFERENCE)
    if spec.data.skip_corrupt:
        yield broken("data.skip_corrupt", spec.data.skip_corrupt, "0", _INFERENCE)


def _training_data(source: object) -> Iterator[str]:
    if not isinstance(source, PretrainingRecords):
        accepted = "tfrecords with the whole Wikipedia of 2020-01-01"
        yield broken("data.source", "shape_captions, the embedded text", accepted, _TRAINING)
        return
    if source.train_shards != _TRAIN_FILES:
        received = "null" if source.train_shards is None else source.train_shards
        yield broken("data.source.tfrecords.train_shards", received, str(_TRAIN_FILES), _TRAINING)
    if source.eval_file != _EVAL_FILE:
        yield broken("data.source.tfrecords.eval_file", source.eval_file, _EVAL_FILE, _TRAINING)


def _end(spec: specs.TrainSpec, *, every: int) -> Iterator[str]:
    """The end of the run is evaluated too, so it must be due."""
    if spec.max_steps is None:
        accepted = "max_steps instead, so that the run ends when an evaluation is due"
        yield broken("max_epochs", spec.max_epochs, accepted, _TRAINING)
        return
    batch = spec.global_batch_size
    before = spec.max_steps * batch // every
    due = sorted({_first_step(count * every, batch) for count in (before, before + 1) if count})
    if spec.max_steps not in due:
        listed = " or ".join(str(step) for step in due)
        yield broken("max_steps", spec.max_steps, f"{listed}, when an evaluation is due", _TRAINING)


def _first_step(samples: int, batch: int) -> int:
    """The first step at or after this number of samples."""
    return -(-samples // batch)
