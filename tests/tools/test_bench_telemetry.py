"""The measurement of telemetry's cost runs and ends with its ratios, whatever they are."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_prints_a_table_and_the_ratios_last() -> None:
    command = [sys.executable, str(ROOT / "tools" / "bench_telemetry.py"), "--rounds=5", "--block_s=0.3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["call", "training step", "request"]
    measured = json.loads(lines[-1])
    assert measured["name"] == "telemetry"
    assert {what: ratio["goal"] for what, ratio in measured["ratios"].items()} == {
        "training step, cost in %": "<= 0.5",
        "training step, sampler in % of a core": "<= 1",
        "request, cost in %": "<= 0.5",
        "request, sampler in % of a core": "<= 1",
    }
