"""The measurement of the issuer runs and ends with its ratios, whatever they are."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_prints_a_table_and_the_ratios_last() -> None:
    command = [sys.executable, str(ROOT / "tools" / "bench_evaluate.py"), "--only", "memory", "--requests", "100000"]
    environment = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    found = json.loads(lines[-1])
    assert found["name"] == "evaluate"
    ((name, ratio),) = found["ratios"].items()
    assert name.startswith("memory growth to request 100,00")
    assert ratio["goal"] == "<= 64"
    assert ratio["value"] < 64
