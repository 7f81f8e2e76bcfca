"""The comparison with Keras's own loop runs, and times the steps alone."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
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


class Clock:
    """Stands for the module `time` in the tool; moves only when a training says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s

    def process_time(self) -> float:
        return 2 * self.now_s


def trains(steps: int, clock: Clock, *, step_s: float, closing_s: float = 0.0) -> Callable[[Any], None]:
    """A training without a model."""

    def training(turns: Any) -> None:
        for step in range(steps):
            turns.on_train_batch_begin(step)
            clock.now_s += step_s
            turns.on_train_batch_end(step)
        clock.now_s += closing_s

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


@pytest.mark.parametrize("rounds", [2, 3])  # either side has the last turn
def test_times_the_steps_of_each_side_without_the_others_or_what_follows(
    rounds: int, tool: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, steps = Clock(), 2 * (rounds + tool.WARM_UP_ROUNDS)
    monkeypatch.setattr(tool, "time", clock)
    sides = [trains(steps, clock, step_s=step_s, closing_s=64) for step_s in (0.25, 1)]
    pairs = tool.measure(*sides, steps=2, rounds=rounds)
    assert pairs == [((0.5, 1), (2, 4))] * rounds


def test_one_side_that_fails_ends_the_other_and_is_named(tool: ModuleType) -> None:
    def fails(turns: Any) -> None:
        turns.on_train_batch_begin(0)
        raise ValueError("no data")

    goes_on = trains(10, Clock(), step_s=0)
    with pytest.raises(ValueError, match="no data"):
        tool.measure(fails, goes_on, steps=2, rounds=2)
    with pytest.raises(RuntimeError, match=r"The other training failed\.") as raised:
        tool.measure(goes_on, fails, steps=2, rounds=2)
    assert isinstance(raised.value.__cause__, ValueError)
