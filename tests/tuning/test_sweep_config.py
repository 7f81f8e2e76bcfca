"""Sweeps are read strictly: what can't be varied, and what is no range, is told before anything runs."""

import dataclasses
import pathlib

import pytest

from tfperf import benchmarks, config, spec
from tfperf.cli.sweep import closed_rules
from tfperf.errors import ConfigError
from tfperf.tuning import best, search_space

SWEEPS = [name for name in config.names() if config.verb(name) == "sweep"]


def options_of(name: str) -> object:
    return benchmarks.get(name).training.options


def load(*overrides: str, name: str = "sweep-resnet50-mini-lr") -> spec.SweepSpec:
    return config.load_sweep(name, options_of=options_of, overrides=overrides)


def violations(*overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        asked = load(*overrides)
        search_space.check(asked, benchmarks.get(asked.base.benchmark).training)
    return raised.value.violations


@pytest.mark.parametrize("name", SWEEPS)
def test_every_packaged_sweep_loads_and_its_resolved_form_repeats_it(name: str, tmp_path: pathlib.Path) -> None:
    loaded = load(name=name)
    search_space.check(loaded, benchmarks.get(loaded.base.benchmark).training)
    (tmp_path / "sweep.yaml").write_text(config.dump(loaded), encoding="utf-8")
    assert load(name=str(tmp_path / "sweep.yaml")) == loaded
    assert loaded.division is spec.Division.INTERNAL


def test_an_override_reaches_the_base() -> None:
    assert load("base.max_epochs=2").base.max_epochs == 2
    assert load().base.max_epochs == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "space={optimizer.sgd.momntum: {choice: [0.9]}}",
            "space.optimizer.sgd.momntum: unknown field. Did you mean optimizer.sgd.momentum? Accepted: ",
        ),
        ("space={}", "space must be one field with its range, or more, got {}."),
        ("space={max_epochs: {choice: []}}", "space.max_epochs.choice must be one or more different values, got []."),
        (
            "space={max_epochs: {integers: [4, 4]}}",
            "space.max_epochs.integers must be [low, high] or [low, high, step] with low < high and step 1 or more, "
            "got [4, 4, 1].",
        ),
        (
            "space={optimizer.sgd.momentum: {log_uniform: [0, 0.9]}}",
            "space.optimizer.sgd.momentum.log_uniform must be [low, high] with 0 < low < high, got [0.0, 0.9].",
        ),
        (
            "space={optimizer.sgd.momentum: {uniform: [0.5]}}",
            "space.optimizer.sgd.momentum.uniform: expected [low, high], got [0.5].",
        ),
        (
            "space={optimizer.sgd.momentum: 0.9}",
            "space.optimizer.sgd.momentum: expected one of choice: [...], uniform: [low, high], log_uniform: [low, "
            "high], integers: [low, high]; got 0.9.",
        ),
        (
            "space={global_batch_size: {uniform: [8, 64]}}",
            "space.global_batch_size: expected a whole number, got 64.0.",
        ),
        (
            "space={optimizer.sgd.momentum: {choice: [0.9, 2]}}",
            "space.optimizer.sgd.momentum must be 0 to below 1, got 2.0.",
        ),
        (
            "space={quality_target: {choice: [0.1, 0.9]}}",
            "space.quality_target: it can't be varied, the rules fix the target. Take it out; `set` changes it for all "
            "trials.",
        ),
        (
            "space={evaluation.every_epochs: {choice: [1, 2]}}",
            "space.evaluation.every_epochs: it can't be varied, the rules fix when the model is evaluated. ",
        ),
        (
            "space={model.width: {choice: [16, 32]}}",
            "space.model.width: it can't be varied, the rules fix the model; they leave free none of its options. ",
        ),
        ("space={seed: {integers: [1, 9]}}", "space.seed: it can't be varied, each trial has its own, "),
        ("division=closed", "division must be internal, which may be left out: a sweep is no result, got 'closed'."),
        ("objective=speed", "objective: expected one of quality, time_to_target, examples_per_s; got 'speed'."),
        ("base.max_epochs=many", "base.max_epochs: expected a whole number, got 'many'."),
        (
            "base=resnet50-mini-offline",
            "resnet50-mini-offline is a config for tfperf infer. Run tfperf infer --config resnet50-mini-offline.",
        ),
        ("base=7", "base: expected the name of a training config or its keys, got 7."),
    ],
)
def test_a_mistake_is_told_with_what_is_accepted(override: str, message: str) -> None:
    assert any(found.startswith(message) for found in violations(override)), violations(override)


def test_hyperband_decides_on_the_epochs_itself() -> None:
    (found,) = violations("search=hyperband", "space={max_epochs: {integers: [1, 4]}}")
    assert "Hyperband decides on the epochs of each trial" in found


def test_a_config_of_the_other_verb_is_named_with_its_verb() -> None:
    with pytest.raises(ConfigError, match="Run tfperf sweep --config sweep-resnet50-mini-lr"):
        config.load("sweep-resnet50-mini-lr", options_of=options_of)
    with pytest.raises(ConfigError, match="Run tfperf train --config resnet50-mini"):
        load(name="resnet50-mini")


def test_the_best_config_is_open_and_the_closed_rules_are_told_by_field() -> None:
    asked = load(
        "space={optimizer.sgd.base_learning_rate: {uniform: [0.1, 1]}, optimizer.sgd.momentum: {choice: [0.8]}}"
    )
    values = {"optimizer.sgd.base_learning_rate": 0.125, "optimizer.sgd.momentum": 0.8}
    chosen = best.spec_of(asked, values)
    assert (chosen.division, chosen.seed) == (spec.Division.OPEN, None)
    assert chosen.optimizer == dataclasses.replace(asked.base.optimizer, base_learning_rate=0.125, momentum=0.8)
    assert best.rulings(values, closed_rules(chosen)) == {
        "optimizer.sgd.base_learning_rate": "allowed",
        "optimizer.sgd.momentum": "optimizer.sgd.momentum: got 0.8. Accepted in the closed division: 0.9 "
        "(training_rules.adoc).",
    }
