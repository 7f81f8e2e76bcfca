"""The measurement of the harness runs and ends with its ratios, whatever they are."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
RATIO = "SingleStream mean latency, tfperf with a null model / bare callback"


def run(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tools" / "bench_loadgen.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_prints_a_table_and_the_ratios_last():
    lines = run("--only", "single_stream", "--rounds", "1", "--seconds", "0.1").splitlines()
    assert lines[0].split() == ["median", "least", "most"]
    assert [line[:72].strip() for line in lines[1:4]] == [
        "SingleStream mean latency, bare callback, us",
        "SingleStream mean latency, tfperf with a null model, us",
        RATIO,
    ]
    result = json.loads(lines[-1])
    assert result["name"] == "loadgen"
    assert list(result["ratios"]) == [RATIO]
    assert result["ratios"][RATIO]["goal"] == "<= 3"
    assert result["ratios"][RATIO]["value"] > 0
