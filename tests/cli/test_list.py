"""`tfperf list` shows what each benchmark can do."""

import dataclasses
from typing import Any

import pytest

from tfperf import benchmarks, config
from tfperf.cli.list import described, expected


@pytest.mark.parametrize(
    ("without", "verbs", "target", "rules"),
    [
        ({}, "train, infer", "accuracy >= 0.759", "MLPerf Training 4.0.0 (resnet)"),
        ({"inference": None}, "train", "accuracy >= 0.759", "MLPerf Training 4.0.0 (resnet)"),
        ({"training": None}, "infer", "accuracy >= 0.756954", "MLPerf Inference (resnet)"),
    ],
)
def test_a_benchmark_may_lack_a_task(without: dict[str, Any], verbs: str, target: str, rules: str) -> None:
    shown = described(dataclasses.replace(benchmarks.get("resnet50"), **without))
    assert shown == {"name": "resnet50", "verbs": verbs, "target": target, "mlperf": rules}


def test_a_mini_is_not_of_mlperf() -> None:
    assert described(benchmarks.get("resnet50_mini"))["mlperf"] == "no: a small model"
    assert described(benchmarks.get("bert_squad"))["mlperf"] == "no"


def test_a_config_says_all_that_is_expected() -> None:
    assert expected("sweep-resnet50-mini-lr") == (
        "the table of trials, best.yaml, and how much of its lead exceeds seed noise. The best trial of 12 had 0.84 "
        "after 4 epochs, 0.09 above the default over 3 new seeds; at least 0.03 of that exceeds seed noise."
    )


@pytest.mark.parametrize("name", config.names())
def test_every_config_has_an_expectation(name: str) -> None:
    assert expected(name).endswith(".")
