"""How question answering is served: MLPerf Inference's `bert-99` and `bert-99.9`, and a small network's."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples, QualityTarget
from tfperf.benchmarks.bert import rules
from tfperf.benchmarks.bert.checkpoints import served
from tfperf.benchmarks.bert.squad import answers
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.sources import ShapeQuestions, SquadFiles
from tfperf.benchmarks.tensor import Tensor

if TYPE_CHECKING:
    import keras

_REFERENCE_F1 = 0.90874

# Windows of SQuAD's questions have 183 tokens in the mean. Padded to these lengths they have 201, and padded to 384
# more than twice as many. Shorter ones than 96 are 1 in 12, and 12 lengths of equal distance save 2 % more.
LENGTHS = (96, 128, 160, 192, 224, 256, 320, 384)


def _lengths(usual: tuple[int, ...], options: SquadOptions) -> tuple[int, ...]:
    """The usual lengths that are shorter than a window, and that of a whole window."""
    return (*(length for length in usual if length < options.sequence_length), options.sequence_length)


def _build_model(options: SquadOptions) -> keras.Model:
    from tfperf.benchmarks.bert.squad import model

    return model.build(options)


def _open_samples(data: spec.Data, options: SquadOptions, data_dir: pathlib.Path | None) -> OpenSamples:
    from tfperf.benchmarks.bert.squad import samples

    return samples.open_samples(data, options, data_dir)


def _inputs(options: SquadOptions) -> tuple[Tensor, ...]:
    names = ("input_ids", "input_mask", "segment_ids")
    return tuple(Tensor(name=name, shape=(None,), dtype="int32") for name in names)


def _outputs(options: SquadOptions) -> tuple[Tensor, ...]:
    return (Tensor(name="span_logits", shape=(None, 2)),)


# Scenarios, targets, bound and counts: inference_rules.adoc of mlcommons/inference_policies, and MODEL_CONFIG of
# tools/submission/submission_checker of mlcommons/inference, where Server was last in v4.1. The parameters are those of
# BERT-large without the pooler, on which no answer depends.
BERT_99 = InferenceTask(
    quality=QualityTarget(metric="f1", value=round(_REFERENCE_F1 * 0.99, 7)),
    reference_quality=_REFERENCE_F1,
    loadgen_model="bert",
    submission_benchmark="bert-99",
    scenarios=("singlestream", "multistream", "server", "offline"),
    closed_scenarios=("singlestream", "offline"),
    eval_samples=10_833,
    performance_samples=10_833,
    server_latency_bound_ns=130_000_000,
    audits=("TEST01",),
    parameters=334_094_338,
    options=SquadOptions(),
    sources=(SquadFiles,),
    build_model=_build_model,
    inputs=_inputs,
    outputs=_outputs,
    lengths=functools.partial(_lengths, LENGTHS),
    open_samples=_open_samples,
    responder=answers.responder,
    scoring=answers.SCORING,
    rules=rules.inference,
    trained_by="bert_squad",
    checkpoints=served.SQUAD,
)
BERT_99_9 = dataclasses.replace(
    BERT_99,
    quality=QualityTarget(metric="f1", value=round(_REFERENCE_F1 * 0.999, 7)),
    submission_benchmark="bert-99.9",
)


def open_task(options: SquadOptions, *, reference_f1: float, lengths: tuple[int, ...] = LENGTHS) -> InferenceTask:
    """How a network of another size is served, on SQuAD or on the embedded questions.

    Args:
        options: the network and its windows.
        reference_f1: what it reaches in float32, of which 99 % is the target.
        lengths: the lengths to compile it for besides that of a whole window, ascending.
    """
    return dataclasses.replace(
        BERT_99,
        quality=QualityTarget(metric="f1", value=round(reference_f1 * 0.99, 7)),
        reference_quality=reference_f1,
        eval_samples=None,
        parameters=None,
        performance_samples=1024,
        options=options,
        sources=(SquadFiles, ShapeQuestions),
        lengths=functools.partial(_lengths, lengths),
        rules=None,
        trained_by=None,
    )
