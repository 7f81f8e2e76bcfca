"""The simulation of synthetic systems runs, and reports them as they are."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_what_is_known_of_synthetic_systems_is_reported(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "simulate_serving.py"), "--only", "steady", "knee", "stall"]
    command += ["--runs", "20", "--seconds", "40", "--json", str(tmp_path / "figures.json")]
    environment = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    found = json.loads(lines[-1])
    assert json.loads((tmp_path / "figures.json").read_text()) == found
    assert found["name"] == "simulate_serving"
    values = {name: ratio["value"] for name, ratio in found["ratios"].items()}
    assert values["steady runs called steady"] >= 0.9
    for change in ("drifts", "leaks"):
        assert values[f"{change} of 8 % found"] >= 0.9
    assert values["throttling by 8 % found"] >= 0.9
    assert values["throttling, median error of its time, s"] < 2
    assert values["knee within 5 %, exponential times"] >= 0.8
    assert values["knee within 5 %, constant times"] >= 0.8
    assert values["requests late by a stall / those due in it"] > 0.8
