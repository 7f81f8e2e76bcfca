"""The measurement of the history runs on a few runs and ends with its ratio, whatever it is."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_prints_a_table_and_the_ratio_last() -> None:
    command = [sys.executable, str(ROOT / "tools" / "bench_history.py"), "--runs=30", "--rounds=1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].split() == ["runs", "cold", "(s)", "warm", "(s)", "one", "new", "(s)"]
    measured = json.loads(lines[-1])
    assert measured["name"] == "history"
    assert measured["cold_s"] > 0
    assert measured["ratios"]["seconds to list 30 runs"]["goal"] == "<= 2"
