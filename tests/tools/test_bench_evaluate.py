"""The measurement of the issuer runs and ends with its ratios, whatever they are."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def measured(*arguments: str) -> dict:
    """The JSON object at the end."""
    command = [sys.executable, str(ROOT / "tools" / "bench_evaluate.py"), "--only", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict = json.loads(lines[-1])
    assert found["name"] == "evaluate"
    return found["ratios"]


def test_prints_a_table_and_the_ratios_last() -> None:
    ((name, ratio),) = measured("memory", "--requests", "100000").items()
    assert name.startswith("memory growth to request 100,00")
    assert ratio["goal"] == "<= 64"
    assert ratio["value"] < 64


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_evaluate_agrees_with_infer_in_every_scenario() -> None:
    """Within what neighbours on the machine do to two seconds; run by itself for longer, the bench says more."""
    found = measured("infer", "--rounds", "2", "--seconds", "2")
    ratios = {name.partition(",")[0]: each["value"] for name, each in found.items()}
    assert set(ratios) == {"singlestream", "multistream", "server", "offline"}
    assert all(0.6 < ratio < 1.7 for ratio in ratios.values()), ratios
