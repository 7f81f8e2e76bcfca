"""Benchmarks are found by name, and a module that defines a wrong one is refused without a traceback."""

import ast
import dataclasses
import pathlib
import subprocess
import sys

import pytest

from tfperf import benchmarks
from tfperf.benchmarks.benchmark import Benchmark, BenchmarkError
from tfperf.errors import ConfigError

ROOMS = pathlib.Path(benchmarks.__file__).parent
WITHOUT_TASKS = "from tfperf import Benchmark\n\nBENCHMARK = Benchmark(name='mine')\n"
WITHOUT_RULES = """\
import dataclasses
from tfperf import benchmarks

BENCHMARK = dataclasses.replace(benchmarks.get("resnet50_mini"), mlperf=True)
"""
EASIER = """\
import dataclasses
from tfperf import benchmarks
from tfperf.benchmarks.benchmark import QualityTarget

WHOLE = benchmarks.get("resnet50")
EASY = dataclasses.replace(WHOLE.training, quality=QualityTarget(metric="accuracy", value=0.1))
BENCHMARK = dataclasses.replace(WHOLE, training=EASY)
"""


def test_a_benchmark_without_tasks_is_refused() -> None:
    with pytest.raises(BenchmarkError) as raised:
        Benchmark(name="mine")
    assert str(raised.value) == (
        "Benchmark 'mine' has no task. Give it training=TrainingTask(...), inference=InferenceTask(...) or both."
    )


@pytest.mark.parametrize("task", ["training", "inference"])
def test_an_mlperf_benchmark_without_rules_is_refused(task: str) -> None:
    whole = benchmarks.get("resnet50")
    without = dataclasses.replace(getattr(whole, task), rules=None)
    with pytest.raises(BenchmarkError, match="'resnet50' has mlperf=True and a task without rules"):
        dataclasses.replace(whole, **{task: without})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (WITHOUT_TASKS, "benchmark: 'my_package.mine': Benchmark 'mine' has no task. Give it training="),
        (WITHOUT_RULES, "benchmark: 'my_package.mine': Benchmark 'resnet50_mini' has mlperf=True and a task without "),
        ("BENCHMARK = 1\n", "benchmark: module my_package.mine must hold BENCHMARK, a tfperf.Benchmark; got 1."),
    ],
)
def test_a_module_with_a_wrong_benchmark_is_refused_without_a_traceback(
    source: str, message: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_module(tmp_path, source)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOMS.parents[1]}")
    command = [sys.executable, "-m", "tfperf", "train", "--config=resnet50-mini", "--set=benchmark=my_package.mine"]
    ended = subprocess.run([*command, "--dry_run"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_altered_copy_is_not_a_benchmark_of_tfperf(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_module(tmp_path, EASIER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_package.mine", raising=False)
    mine = benchmarks.get("my_package.mine")
    assert (mine.mlperf, benchmarks.is_own(mine), benchmarks.is_mlperf(mine)) == (True, False, False)
    for name in benchmarks.names():
        own = benchmarks.get(name)
        assert (benchmarks.is_own(own), benchmarks.is_mlperf(own)) == (True, own.mlperf)


@pytest.mark.parametrize(("verb", "lacking"), [("train", "training"), ("infer", "inference")])
def test_a_task_that_the_benchmark_lacks_is_named(
    verb: benchmarks.Verb, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = dataclasses.replace(benchmarks.get("resnet50_mini"), **{lacking: None})
    monkeypatch.setattr(benchmarks, "get", lambda name: half)
    with pytest.raises(ConfigError, match=f"benchmark: mine has no {lacking} task, so it can only be "):
        benchmarks.task("mine", verb)


@pytest.mark.parametrize("room", ["images", "prepare", "shapes"])
def test_shared_rooms_know_no_benchmark(room: str) -> None:
    for path in sorted((ROOMS / room).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found = [name for name in benchmarks.names() if name in text]
        assert not found, f"{path} names {found}"
        for node in ast.walk(ast.parse(text)):
            assert not (isinstance(node, ast.ImportFrom) and "resnet" in (node.module or "")), path


def write_module(folder: pathlib.Path, source: str) -> None:
    """Writes `my_package.mine`."""
    package = folder / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(source, encoding="utf-8")
