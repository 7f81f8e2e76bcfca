"""The comparison with Keras's own loop runs, and times the steps alone."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOOL = ROOT / "tools" / "bench_training.py"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, str(TOOL), *flags], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    found = importlib.util.spec_from_file_location("bench_training", TOOL)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def trains(steps: int, *, step_s: float, closing_s: float = 0.0) -> Callable[[Any], None]:
    """A training without a model."""

    def training(turns: Any) -> None:
        for step in range(steps):
            turns.on_train_batch_begin(step)
            time.sleep(step_s)
            turns.on_train_batch_end(step)
        time.sleep(closing_s)

    return training


@pytest.mark.slow
def test_prints_both_sides_and_the_ratios_last(tmp_path: pathlib.Path) -> None:
    finished = run("--steps=2", "--rounds=2", f"--data_dir={tmp_path}")
    lines = finished.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["tfperf", "Keras", "time", "processor"], finished.stderr
    measured = json.loads(lines[-1])
    assert measured["name"] == "bench_training"
    ratio, _processor = measured["ratios"].values()
    assert ratio["goal"] == "<= 1.02"
    assert ratio["value"] > 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--rounds=1",), "--rounds must be 2 or more, got 1."),
        (
            ("--steps=10", "--steps_per_execution=4"),
            "--steps must be a multiple of --steps_per_execution=4, got 10.",
        ),
    ],
)
def test_refuses_what_it_can_not_time(flags: tuple[str, ...], message: str) -> None:
    finished = run(*flags)
    assert finished.returncode == 2
    assert message in finished.stderr


def test_times_the_steps_of_each_side_without_the_others_or_what_follows(tool: ModuleType) -> None:
    steps = 2 * (3 + tool.WARM_UP_ROUNDS)
    pairs = tool.measure(trains(steps, step_s=0.01), trains(steps, step_s=0.05, closing_s=0.5), steps=2, rounds=3)
    assert len(pairs) == 3
    for own, other in pairs:
        assert 0.02 <= own.wall_s < 0.1 <= other.wall_s < 0.5


def test_one_side_that_fails_ends_the_other(tool: ModuleType) -> None:
    def fails(turns: Any) -> None:
        turns.on_train_batch_begin(0)
        raise ValueError("no data")

    for first, second in ((fails, trains(10, step_s=0)), (trains(10, step_s=0), fails)):
        with pytest.raises((ValueError, RuntimeError), match=r"no data|The other training failed\."):
            tool.measure(first, second, steps=2, rounds=2)
