"""Sweeps are read strictly: what can't be varied, and what is not a range, is reported before anything runs."""

import dataclasses
import pathlib

import pytest

from tfperf import benchmarks, config, spec
from tfperf.cli.sweep import closed_rules
from tfperf.errors import ConfigError
from tfperf.tuning import best_config, tuner_process, workload

SWEEPS = [name for name in config.names() if config.verb(name) == "sweep"]
TRAINING, SERVING = "sweep-resnet50-mini-lr", "sweep-resnet50-mini-offline"
STREAM = "base.scenario={singlestream: {}}"


def load(*overrides: str, name: str = TRAINING) -> spec.SweepSpec:
    return config.load_sweep(name, task_of=benchmarks.task, overrides=overrides)


def check(loaded: spec.SweepSpec) -> None:
    workload.check(loaded, benchmarks.get(loaded.base.benchmark))


def violations(*overrides: str, name: str = TRAINING) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        check(load(*overrides, name=name))
    return raised.value.violations


@pytest.mark.parametrize("name", SWEEPS)
def test_every_packaged_sweep_loads_and_its_resolved_form_repeats_it(name: str, tmp_path: pathlib.Path) -> None:
    loaded = load(name=name)
    check(loaded)
    (tmp_path / "sweep.yaml").write_text(config.dump(loaded), encoding="utf-8")
    assert load(name=str(tmp_path / "sweep.yaml")) == loaded
    assert loaded.division is spec.Division.INTERNAL


def test_an_override_reaches_the_base() -> None:
    assert config.value_of(load("base.max_epochs=2").base, "max_epochs") == 2
    assert config.value_of(load().base, "max_epochs") == 4
    assert config.value_of(load("base.threads=1", name=SERVING).base, "threads") == 1


def test_a_base_is_of_the_verb_that_its_config_is_for() -> None:
    assert isinstance(load().base, spec.TrainSpec)
    assert isinstance(load(name=SERVING).base, spec.InferSpec)
    assert load("early_stopping={}").early_stopping == spec.EarlyStopping()
    assert load(name=SERVING).early_stopping is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "space={optimizer.sgd.momntum: {choice: [0.9]}}",
            "space.optimizer.sgd.momntum: unknown field. Did you mean optimizer.sgd.momentum? Accepted: ",
        ),
        ("space={}", "space must be one field with its range, or more, got {}."),
        ("space={max_epochs: {choice: []}}", "space.max_epochs.choice must be 1 to 256 different values, got []."),
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
            "space.model.width: it can't be varied, the rules fix the model; free are none of its options. ",
        ),
        ("space={seed: {integers: [1, 9]}}", "space.seed: it can't be varied, each trial has its own, "),
        ("max_trials=null", "max_trials must be 1 or more; only a grid ends without it, got None."),
        ("max_trials=0", "max_trials must be 1 or more; only a grid ends without it, got 0."),
        ("division=closed", "division must be internal, which may be left out: a sweep is not a result, got 'closed'."),
        (
            "objective=speed",
            "objective: expected one of quality, time_to_target, examples_per_s, throughput, latency; got 'speed'.",
        ),
        (
            "objective=throughput",
            "objective must be quality or time_to_target or examples_per_s for a training, got 'throughput'.",
        ),
        ("base.max_epochs=many", "base.max_epochs: expected a whole number, got 'many'."),
        (
            "base=sweep-resnet50-mini-offline",
            "base: sweep-resnet50-mini-offline is a config for tfperf sweep. Name a config for tfperf train or infer.",
        ),
        ("base=7", "base: expected the name of a config for train or infer or its keys, got 7."),
    ],
)
def test_a_mistake_is_reported_with_what_is_accepted(override: str, message: str) -> None:
    assert any(found.startswith(message) for found in violations(override)), violations(override)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("objective=quality",), "objective must be throughput for a measurement in Offline, got 'quality'."),
        ((STREAM,), "objective must be latency for a measurement in SingleStream, got 'throughput'."),
        (
            ("search=hyperband",),
            "search must be random, bayesian or grid for a measurement, which has no epochs, got 'hyperband'.",
        ),
        (
            ("early_stopping={after_epochs: 2}",),
            "early_stopping must be null for a measurement, which has no epochs, got EarlyStopping(after_epochs=2, ",
        ),
        (
            ("space={batch_sizes: {choice: [[4, 1]]}}",),
            "space.batch_sizes must be whole numbers above 0, ascending, or null, got (4, 1).",
        ),
        (("space={thread: {choice: [1]}}",), "space.thread: unknown field. Did you mean threads? Accepted: "),
        (("base.benchmark=tests.tuning.points",), "base.benchmark: tests.tuning.points has no inference task, "),
    ],
)
def test_a_mistake_in_a_sweep_over_a_measurement_is_reported(overrides: tuple[str, ...], message: str) -> None:
    found = violations(*overrides, name=SERVING)
    assert any(violation.startswith(message) for violation in found), found


def test_what_a_measurement_is_for_follows_from_its_scenario() -> None:
    space = "space={batch_sizes: {choice: [[1], [4]]}}"
    assert load(STREAM, space, "objective=latency", name=SERVING).objective == "latency"
    assert load("base.scenario={server: {}}", name=SERVING).objective == "throughput"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("benchmark", "resnet50"),
        ("division", "closed"),
        ("scenario.offline", "{}"),
        ("data.skip_corrupt", "1"),
        ("model.width", "8"),
        ("min_duration_s", "5"),
        ("min_queries", "5"),
        ("performance_samples", "5"),
        ("accuracy", "false"),
        ("quality_target", "0.1"),
        ("submission.org", "me"),
        ("telemetry.rate_hz", "2"),
    ],
)
def test_of_a_measurement_only_how_the_model_is_served_can_be_varied(field: str, value: str) -> None:
    (found,) = violations(f"space={{{field}: {{choice: [{value}]}}}}", name=SERVING)
    assert found.startswith(f"space.{field}: it can't be varied, "), found


def test_every_field_of_a_measurement_is_fixed_or_free_on_purpose() -> None:
    loaded = load(name=SERVING)
    fields = [field.name for field in dataclasses.fields(spec.InferSpec)]
    why = {
        field: workload.of(loaded.base).why_fixed(field, loaded, benchmarks.get("resnet50_mini")) for field in fields
    }
    assert [field for field in fields if not why[field]] == ["executable", "batch_sizes", "instances", "threads"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("base.max_epochs=null", "base.max_steps=9"),
            "base.max_epochs must be given in place of max_steps, since a sweep counts epochs, got None.",
        ),
        (
            ("base.evaluation={every_samples: 64}",),
            "base.evaluation.every_samples must be left out, since a sweep counts epochs, got 64.",
        ),
    ],
)
def test_the_trials_of_a_sweep_end_and_are_judged_by_epochs(overrides: tuple[str, ...], message: str) -> None:
    assert message in violations(*overrides)


@pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning")  # in keras_tuner
@pytest.mark.parametrize(
    ("space", "size"),
    [
        ("{max_epochs: {integers: [1, 4]}}", 4),
        ("{max_epochs: {integers: [1, 8, 3]}, global_batch_size: {choice: [32, 64]}}", 6),
        ("{optimizer.sgd.momentum: {uniform: [0.5, 0.9]}}", 11),
        ("{optimizer.sgd.base_learning_rate: {log_uniform: [0.01, 1.0]}}", 11),
    ],
)
def test_a_grid_without_a_limit_tries_all_of_it(tmp_path: pathlib.Path, space: str, size: int) -> None:
    loaded = load("search=grid", "max_trials=null", f"space={space}")
    assert loaded.most_trials == size
    grid = tuner_process.oracle(dataclasses.replace(loaded, max_trials=99))
    grid._set_project_dir(tmp_path, "grid")
    tried = []
    while (trial := grid.create_trial("tuner")).status == "RUNNING":
        tried.append(trial.trial_id)
        trial.status = "COMPLETED"
        grid.update_trial(trial.trial_id, {"quality": 0.5})
        grid.end_trial(trial)
    assert len(tried) == size


def test_the_model_of_a_users_benchmark_can_be_varied() -> None:
    points = benchmarks.get("tests.tuning.points")
    task = dataclasses.replace(benchmarks.training_task(points), tunable=())
    own = dataclasses.replace(points, training=task)
    assert [workload.of(load().base).why_fixed(f"model.{name}", load(), own) for name in ("units", "trouble")] == [
        "",
        "",
    ]


def test_hyperband_decides_on_the_epochs_itself() -> None:
    (found,) = violations("search=hyperband", "space={max_epochs: {integers: [1, 4]}}")
    assert "Hyperband chooses the epochs of each trial" in found


def test_a_config_of_the_other_verb_is_named_with_its_verb() -> None:
    with pytest.raises(ConfigError, match="Run tfperf sweep --config sweep-resnet50-mini-lr"):
        config.load(TRAINING, task_of=benchmarks.task)
    with pytest.raises(ConfigError, match="Run tfperf train --config resnet50-mini"):
        load(name="resnet50-mini")


def test_the_best_config_is_open_and_judged_field_by_field_by_the_closed_rules() -> None:
    loaded = load(
        "space={optimizer.sgd.base_learning_rate: {uniform: [0.1, 1]}, optimizer.sgd.momentum: {choice: [0.8]}}"
    )
    values = {"optimizer.sgd.base_learning_rate": 0.125, "optimizer.sgd.momentum": 0.8}
    chosen = workload.of(loaded.base).best(loaded.base, values)
    assert isinstance(chosen, spec.TrainSpec)
    assert isinstance(loaded.base, spec.TrainSpec)
    assert (chosen.division, chosen.seed) == (spec.Division.OPEN, None)
    assert chosen.optimizer == dataclasses.replace(loaded.base.optimizer, base_learning_rate=0.125, momentum=0.8)
    assert best_config.rulings(values, closed_rules(chosen)) == {
        "optimizer.sgd.base_learning_rate": "allowed",
        "optimizer.sgd.momentum": "got 0.8. Accepted in the closed division: 0.9 (training_rules.adoc).",
    }


def test_a_field_of_an_optimizer_that_the_rules_bar_is_not_called_allowed() -> None:
    lamb = "base.optimizer={lamb: {base_learning_rate: 0.1}}"
    loaded = load("base.optimizer=null", lamb, "space={optimizer.lamb.base_learning_rate: {uniform: [0.1, 1]}}")
    values = {"optimizer.lamb.base_learning_rate": 0.125}
    assert isinstance(loaded.base, spec.TrainSpec)
    assert best_config.rulings(values, closed_rules(workload.of(loaded.base).best(loaded.base, values))) == {
        "optimizer.lamb.base_learning_rate": (
            "optimizer: got lamb. Accepted in the closed division: lars or sgd (training_rules.adoc)."
        )
    }


def test_the_best_config_of_a_users_mini_is_not_judged_by_the_rules_of_tfperfs_benchmarks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").mkdir()
    text = "import dataclasses\nfrom tfperf import get_benchmark\n"
    text += "BENCHMARK = dataclasses.replace(get_benchmark('resnet50_mini'), name='small')\n"
    (tmp_path / "small" / "own.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    base = config.load("resnet50-mini", task_of=benchmarks.task, overrides=["benchmark=small.own"])
    assert closed_rules(base) == (
        "benchmark: small is not an MLPerf benchmark and can't run closed. Set division: open.",
    )


def test_a_small_network_of_another_task_than_its_benchmark_trains_is_told_so_and_never_allowed() -> None:
    fine_tuning = config.load_any("bert-mini-squad", task_of=benchmarks.task)
    assert closed_rules(fine_tuning) == (
        "benchmark: this config trains another task than MLPerf's bert, and can't run closed. Set division: open.",
    )
    served = closed_rules(config.load_any("bert-mini-offline", task_of=benchmarks.task))
    assert any(violation.startswith("model.encoder.hidden_size: got 128. ") for violation in served)
    assert not any(violation.startswith("benchmark:") for violation in served)


@pytest.mark.parametrize(
    "name", [name for name in config.names() if config.verb(name) in ("train", "infer") and "-mini" in name]
)
def test_the_closed_rules_judge_each_packaged_mini(name: str) -> None:
    judged = closed_rules(config.load_any(name, task_of=benchmarks.task))
    assert judged and all(isinstance(violation, str) for violation in judged)


def test_the_best_config_of_a_measurement_is_judged_by_the_rules_of_serving() -> None:
    loaded = load("space={executable: {choice: [litert-int8]}, threads: {choice: [1]}}", name=SERVING)
    chosen = workload.of(loaded.base).best(loaded.base, {"executable": "litert-int8", "threads": 1})
    assert isinstance(chosen, spec.InferSpec)
    assert (chosen.division, chosen.executable, chosen.threads) == (spec.Division.OPEN, "litert-int8", 1)
    assert best_config.rulings({"executable": "litert-int8", "threads": 1}, closed_rules(chosen)) == {
        "executable": "got litert-int8. Accepted in the closed division: a form that is not quantised, "
        "since only MLPerf's own set may be used for calibration (inference_rules.adoc).",
        "threads": "allowed",
    }
