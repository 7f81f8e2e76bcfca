"""A series trains with different seeds, and a run's config repeats it."""

import dataclasses
import pathlib

import pytest

from tfperf import benchmarks, config
from tfperf import spec as specs
from tfperf.compliance import rules
from tfperf.run import series, train


def load(name: str, *overrides: str) -> specs.TrainSpec:
    return config.load(name, task_of=benchmarks.task, overrides=overrides)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        ("null", [[], [], []]),
        ("5", [["--set=seed=5"], ["--set=seed=6"], ["--set=seed=7"]]),
        ("2147483647", [["--set=seed=2147483647"], ["--set=seed=0"], ["--set=seed=1"]]),
    ],
)
def test_each_run_of_a_series_has_its_own_seed(seed: str, expected: list[list[str]]) -> None:
    spec = load("resnet50-mini", f"seed={seed}")
    assert [series.seed_of(spec, number) for number in (1, 2, 3)] == expected


@pytest.mark.parametrize("name", [name for name in config.names() if config.verb(name) == "train"])
def test_the_config_of_a_run_repeats_it(name: str, tmp_path: pathlib.Path) -> None:
    given = load(name)
    ran = dataclasses.replace(given, seed=123)
    path = tmp_path / "spec.yaml"
    path.write_text(train.repeating(ran), encoding="utf-8")
    again = load(str(path))
    rules.check_training(again, benchmarks.get(again.benchmark))
    assert again == (given if given.division is specs.Division.CLOSED else ran)
    assert "123" in path.read_text(encoding="utf-8")
