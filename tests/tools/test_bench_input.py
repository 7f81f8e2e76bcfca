"""The measurement of the input pipeline runs and ends with its ratios, whatever they are."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tools" / "bench_input.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_prints_a_table_and_the_ratios_last():
    lines = run("--images", "32", "--batch_size", "8", "--rounds", "1").splitlines()
    assert lines[0].startswith("128 JPEGs of ")
    assert [line.split("  ")[0] for line in lines[1:5]] == [
        "images per CPU-second",
        "simplejpeg, decode only",
        "tfperf, fused decode and crop",
        "reference's steps, whole decode",
    ]
    result = json.loads(lines[-1])
    assert result["name"] == "bench_input"
    goals = {name: ratio["goal"] for name, ratio in result["ratios"].items()}
    assert goals == {
        "images per CPU-second, pipeline / simplejpeg": ">= 0.85",
        "images per CPU-second, fused / unfused": ">= 1",
    }
    assert all(ratio["value"] > 0 for ratio in result["ratios"].values())
