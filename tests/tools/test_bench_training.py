"""The comparison with Keras's own loop runs, and times the steps alone."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOOL = ROOT / "tools" / "bench_training.py"


@pytest.mark.slow
def test_prints_each_round_and_the_ratio_last(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, str(TOOL), "--steps=2", "--rounds=1", f"--data_dir={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["round", "1", "time", "processor"]
    measured = json.loads(lines[-1])
    assert measured["name"] == "bench_training"
    ratio, _processor = measured["ratios"].values()
    assert ratio["goal"] == "<= 1.02"
    assert ratio["value"] > 0


def test_what_follows_the_last_step_is_not_timed() -> None:
    found = importlib.util.spec_from_file_location("bench_training", TOOL)
    assert found is not None
    assert found.loader is not None
    tool = importlib.util.module_from_spec(found)
    found.loader.exec_module(tool)

    def closes_slowly(last: Any) -> None:
        last.on_train_batch_end(0)
        time.sleep(0.5)

    assert tool.timed(closes_slowly).wall_s < 0.4
