"""The benchmarks of BERT at full size: what they fix, and what is said when something of them is missing."""

import pathlib

import pytest

from tests.benchmarks.bert.squad.test_serving import parameters
from tfperf import benchmarks, config
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.compliance import rules
from tfperf.errors import MissingDataError


def test_the_figures_of_the_rules() -> None:
    task = benchmarks.task("bert", "train")
    assert (task.quality.metric, task.quality.value, task.eval_examples, task.runs) == (
        "masked_lm_accuracy",
        0.72,
        10_000,
        10,
    )
    assert (task.ruleset, task.submission_benchmark) == ("5.0.0", "bert")
    inference = benchmarks.task("bert_99_9", "infer")
    assert (inference.submission_benchmark, inference.quality.value) == ("bert-99.9", 0.9078313)


def test_the_parameters_are_those_of_the_encoder_and_both_heads() -> None:
    encoder = PretrainingOptions().encoder
    width, words = encoder.hidden_size, encoder.vocabulary_size
    span_head, dense = 2 * width + 2, width * width + width
    heads = dense + (dense + 2 * width + words) + (2 * width + 2)  # pooler, masked LM, next sentence
    assert benchmarks.task("bert", "train").parameters == parameters(encoder) - span_head + heads


def test_the_packaged_closed_config_keeps_the_rules() -> None:
    spec = config.load("bert-wikipedia-lamb", task_of=benchmarks.task)
    assert rules.violations(spec, benchmarks.get("bert")) == ()


def test_each_option_of_another_encoder_is_named() -> None:
    changes = ["model.encoder={layers: 12, hidden_size: 768}", "model.sequence_length=128"]
    spec = config.load("bert-wikipedia-lamb", task_of=benchmarks.task, overrides=changes)
    assert rules.violations(spec, benchmarks.get("bert")) == (
        "model.encoder.hidden_size: got 768. Accepted in the closed division: 1024 (training_rules.adoc).",
        "model.encoder.layers: got 12. Accepted in the closed division: 24 (training_rules.adoc).",
        "model.sequence_length: got 128. Accepted in the closed division: 512 (training_rules.adoc).",
    )


@pytest.mark.parametrize(
    ("name", "checkpoint"),
    [
        ("bert-wikipedia-lamb", "model.ckpt-28252"),
        ("bert-squad", "bert_model.ckpt"),
    ],
)
def test_a_missing_checkpoint_is_told_before_the_data_is_read(
    name: str, checkpoint: str, tmp_path: pathlib.Path
) -> None:
    spec = config.load(name, task_of=benchmarks.task)
    with pytest.raises(MissingDataError) as raised:
        benchmarks.task(spec.benchmark, "train").open_data(spec.data, spec.model, tmp_path)
    assert str(raised.value) == (
        f"There is no checkpoint at {tmp_path / checkpoint}: neither this file nor {checkpoint}.index exists. Copy it "
        "there, or name another."
    )
