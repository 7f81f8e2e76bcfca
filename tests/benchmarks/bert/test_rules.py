"""The closed division's rules for BERT."""

import pytest

from tfperf import spec as specs
from tfperf.benchmarks.bert import rules
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.pretraining.source import PretrainingRecords, ShapeCaptions
from tfperf.benchmarks.bert.squad.sources import SquadFiles

LAMB = specs.Lamb(base_learning_rate=3.5e-4, training_steps=13_700)


def closed(**changes: object) -> specs.TrainSpec:
    """A run that follows every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "bert",
        "division": specs.Division.CLOSED,
        "global_batch_size": 256,
        "max_steps": 12_891,  # the first step at or after 22 times 150,000 samples
        "optimizer": LAMB,
        "data": specs.Data(source=PretrainingRecords(train_shards=500)),
        "model": PretrainingOptions(checkpoint="model.ckpt-28252"),
        "evaluation": specs.Evaluation(every_samples=150_000),
    }
    return specs.TrainSpec(**{**fields, **changes})


@pytest.mark.parametrize(
    ("batch_sizes", "interval"),  # the table in the reference's README and in the rules of the rounds
    [
        ((256, 1024, 1536, 2048), 150_000),
        ((3072, 4096), 175_000),
        ((4608, 6144), 200_000),
        ((6912, 8192), 225_000),
        ((8704,), 250_000),
        ((12_288,), 275_000),
        ((13_056,), 300_000),
        ((16_384,), 325_000),
    ],
)
def test_the_interval_of_evaluations_is_that_of_the_published_table(
    batch_sizes: tuple[int, ...], interval: int
) -> None:
    assert {rules.evaluation_interval(size) for size in batch_sizes} == {interval}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"evaluation": specs.Evaluation(every_samples=150_000, at_start=True)},
        {"global_batch_size": 4096, "max_steps": 43, "evaluation": specs.Evaluation(every_samples=175_000)},
    ],
)
def test_a_closed_run_breaks_no_rule(changes: dict[str, object]) -> None:
    assert list(rules.training(closed(**changes))) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"global_batch_size": 4096},
            "evaluation.every_samples: got 150000. Accepted in the closed division: 175000 at global_batch_size=4096 "
            "(training_rules.adoc).",
        ),
        (
            {"evaluation": specs.Evaluation(every_epochs=1)},
            "evaluation.every_samples: got None. Accepted in the closed division: 150000 at global_batch_size=256 "
            "(training_rules.adoc).",
        ),
        (
            {"max_steps": 12_900},
            "max_steps: got 12900. Accepted in the closed division: 12891 or 13477, when an evaluation is due "
            "(training_rules.adoc).",
        ),
        (
            {"max_steps": 5},
            "max_steps: got 5. Accepted in the closed division: 586, when an evaluation is due (training_rules.adoc).",
        ),
        (
            {"max_steps": None, "max_epochs": 1},
            "max_epochs: got 1. Accepted in the closed division: max_steps instead, so that the run ends when an "
            "evaluation is due (training_rules.adoc).",
        ),
        (
            {"optimizer": specs.AdamW(base_learning_rate=1e-4)},
            "optimizer: got adamw. Accepted in the closed division: lamb (training_rules.adoc).",
        ),
        (
            {"optimizer": specs.Lamb(base_learning_rate=1e-4, clip_norm=None)},
            "optimizer.lamb.clip_norm: got None. Accepted in the closed division: 1.0, before or after the reduction "
            "(training_rules.adoc).",
        ),
        (
            {"model": PretrainingOptions()},
            "model.checkpoint: got null. Accepted in the closed division: MLPerf's checkpoint of phase 1, "
            "model.ckpt-28252 (training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=PretrainingRecords())},
            "data.source.tfrecords.train_shards: got null. Accepted in the closed division: 500 (training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=PretrainingRecords(train_shards=500, eval_file="eval"))},
            "data.source.tfrecords.eval_file: got eval. Accepted in the closed division: eval_10k "
            "(training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=ShapeCaptions())},
            "data.source: got shape_captions, the embedded text. Accepted in the closed division: tfrecords with the "
            "whole Wikipedia of 2020-01-01 (training_rules.adoc).",
        ),
    ],
)
def test_each_broken_rule_says_what_is_accepted(changes: dict[str, object], message: str) -> None:
    assert list(rules.training(closed(**changes))) == [message]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({}, []),
        ({"scenario": specs.SingleStream()}, []),
        (
            {"scenario": specs.Server(target_qps=1.0)},
            [
                "scenario: got server. Accepted in the closed division: singlestream or offline, since BERT has no "
                "other in v6.1 (submission_checker/constants.py)."
            ],
        ),
        (
            {"data": specs.Data(source=SquadFiles(lower_case=False), skip_corrupt=1)},
            [
                "data.source.squad.lower_case: got false. Accepted in the closed division: true, since the model is "
                "uncased (inference_rules.adoc).",
                "data.skip_corrupt: got 1. Accepted in the closed division: 0 (inference_rules.adoc).",
            ],
        ),
    ],
)
def test_the_rules_of_inference(changes: dict[str, object], messages: list[str]) -> None:
    fields: dict[str, object] = {
        "benchmark": "bert",
        "division": specs.Division.CLOSED,
        "scenario": specs.Offline(),
        "data": specs.Data(source=SquadFiles()),
    }
    assert list(rules.inference(specs.InferSpec(**{**fields, **changes}))) == messages
