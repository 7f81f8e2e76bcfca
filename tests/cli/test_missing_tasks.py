"""A benchmark that can only be served, or only be trained, is refused by the other verb with what to run instead."""

import os
import pathlib
import subprocess
import sys

import pytest

MODULE = """
import dataclasses

from tfperf import get_benchmark

MINI = get_benchmark("resnet50_mini")
BENCHMARK = dataclasses.replace(MINI, name="half", {without}=None)
"""
TRAINING = """
benchmark: half
division: internal
global_batch_size: 16
max_epochs: 1
optimizer: {sgd: {base_learning_rate: 0.1}}
data: {source: {shapes: {}}}
"""
SERVING = """
benchmark: half
division: internal
scenario: {offline: {}}
data: {source: {shapes: {}}}
"""
ONLY_SERVED = "benchmark: half.it has no training task, so it can only be served. Run tfperf infer."
ONLY_TRAINED = "benchmark: half.it has no inference task, so it can only be trained. Run tfperf train."


def tfperf(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, "-m", "tfperf", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def write(folder: pathlib.Path, *, without: str, config: str) -> None:
    (folder / "half").mkdir()
    (folder / "half" / "it.py").write_text(MODULE.replace("{without}", without), encoding="utf-8")
    (folder / "mine.yaml").write_text(config.replace("benchmark: half", "benchmark: half.it"), encoding="utf-8")


@pytest.mark.parametrize(
    ("verb", "without", "config", "message"),
    [
        ("train", "training", TRAINING, ONLY_SERVED),
        ("infer", "inference", SERVING, ONLY_TRAINED),
    ],
)
def test_the_other_verb_is_refused(verb: str, without: str, config: str, message: str, tmp_path: pathlib.Path) -> None:
    write(tmp_path, without=without, config=config)
    done = tfperf(tmp_path, verb, "--config=mine.yaml", "--dry_run")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"tfperf {verb}: {message}\n")


@pytest.mark.parametrize(
    ("verb", "without", "config", "text"),
    [
        ("train", "inference", TRAINING, "Would train half to accuracy >= "),
        ("infer", "training", SERVING, "Would measure half in Offline"),
    ],
)
def test_the_verb_that_it_supports_is_accepted(
    verb: str, without: str, config: str, text: str, tmp_path: pathlib.Path
) -> None:
    write(tmp_path, without=without, config=config)
    done = tfperf(tmp_path, verb, "--config=mine.yaml", "--dry_run")
    assert (done.returncode, done.stdout.startswith(text)) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("without", "base", "message"),
    [("training", TRAINING, ONLY_SERVED), ("inference", SERVING, ONLY_TRAINED)],
)
def test_a_sweep_over_the_other_verb_is_refused(without: str, base: str, message: str, tmp_path: pathlib.Path) -> None:
    objective = "quality" if without == "training" else "throughput"
    write(tmp_path, without=without, config="")
    (tmp_path / "mine.yaml").write_text(
        f"base:{base.replace('benchmark: half', 'benchmark: half.it')}".replace("\n", "\n  ")
        + f"\nspace: {{seed: {{choice: [1, 2]}}}}\nobjective: {objective}\nmax_trials: 2\n",
        encoding="utf-8",
    )
    done = tfperf(tmp_path, "sweep", "--config=mine.yaml", "--dry_run")
    assert (done.returncode, f"base.{message}" in done.stderr) == (2, True), done.stderr
