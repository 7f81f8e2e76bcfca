"""Hardly a kernel of a training step or an evaluation runs outside XLA when it is compiled."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
def test_a_compiled_step_and_evaluation_leave_few_kernels_outside_xla() -> None:
    command = [sys.executable, str(ROOT / "tools" / "count_kernels.py"), "--blocks=1", "--width=4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = {line[:40].strip(): [int(count) for count in line[40:].split()] for line in lines[1:-1]}
    assert list(rows) == ["nothing compiled", "gradients compiled, updates by variable", "tfperf"]
    assert rows["nothing compiled"][0] > rows["gradients compiled, updates by variable"][0] > 100
    assert max(rows["tfperf"]) <= 30
    measured = json.loads(lines[-1])
    assert measured["name"] == "count_kernels"
    assert [ratio["value"] for ratio in measured["ratios"].values()] == rows["tfperf"]
    assert {ratio["goal"] for ratio in measured["ratios"].values()} == {"<= 100"}
