"""The measurement of the callback's cost runs and ends with its ratios, whatever they are."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_prints_a_table_and_the_ratios_last() -> None:
    command = [sys.executable, str(ROOT / "tools" / "bench_callback.py"), "--tiny_s=2", "--resnet_s=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split(" ")[0] for line in lines[:3]] == ["model", "tiny", "ResNet-50"]
    measured = json.loads(lines[-1])
    assert measured["name"] == "callback"
    assert {what: ratio["goal"] for what, ratio in measured["ratios"].items()} == {
        "resnet50 step time": "<= 1.01",
        "tiny model overhead us per step": "<= 5",
    }
    assert measured["ratios"]["resnet50 step time"]["value"] > 0
