"""`tfperf list` shows what each benchmark can do."""

import dataclasses
from typing import Any

import pytest

from tfperf import benchmarks
from tfperf.cli.list import described


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
