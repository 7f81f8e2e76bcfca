"""The rules of the closed division."""

import dataclasses

import pytest

from tfperf import benchmarks, spec
from tfperf.benchmarks.images.sources import Folder, ImageNetRecords, Tfds
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.compliance import rules
from tfperf.errors import ConfigError

RESNET = benchmarks.get("resnet50")
LARS = spec.Lars(base_learning_rate=9.0, warmup_epochs=3, weight_decay=5e-5)
SGD = spec.Sgd(base_learning_rate=1.6, warmup_epochs=5, weight_decay=5e-5)


def _model(**changes: object) -> object:
    return dataclasses.replace(RESNET.training.options, **changes)


def _data(source: object, skip_corrupt: int = 0) -> spec.Data:
    return spec.Data(source=source, skip_corrupt=skip_corrupt)


BROKEN = [
    ({"quality_target": 0.7}, "quality_target: got 0.7"),
    ({"seed": 1}, "seed: got 1"),
    ({"data": _data(ImageNetRecords(), skip_corrupt=3)}, "data.skip_corrupt: got 3"),
    ({"evaluation": spec.Evaluation(every_epochs=1)}, "evaluation.every_epochs: got 1"),
    ({"max_epochs": 37}, "max_epochs: got 37. Accepted in the closed division: 35 or 39, so that"),
    (
        {"max_epochs": 2, "optimizer": dataclasses.replace(LARS, warmup_epochs=2)},
        "max_epochs: got 2. Accepted in the closed division: 3, so that",
    ),
    ({"max_epochs": None, "max_steps": 9000}, "max_steps: got 9000. Accepted in the closed division: max_epochs"),
    ({"data": _data(Shapes())}, "data.source: got shapes"),
    ({"data": _data(Folder())}, "data.source: got folder"),
    ({"data": _data(Tfds(train_split="train[:10%]"))}, "data.source: got tfds imagenet2012, train[:10%]"),
    (
        {"model": _model(label_smoothing=0.2)},
        "model.label_smoothing: got 0.2. Accepted in the closed division: 0.0 or 0.1",
    ),
    ({"model": _model(image_size=160)}, "model.image_size: got 160"),
    ({"model": _model(width=32)}, "model.width: got 32"),
    ({"optimizer": dataclasses.replace(LARS, end_learning_rate=0.0)}, "optimizer.lars.end_learning_rate: got 0.0"),
    ({"optimizer": dataclasses.replace(LARS, decay_power=1.0)}, "optimizer.lars.decay_power: got 1.0"),
    ({"optimizer": dataclasses.replace(LARS, epsilon=1e-7)}, "optimizer.lars.epsilon: got 1e-07"),
    ({"optimizer": dataclasses.replace(LARS, weight_decay=3e-4)}, "optimizer.lars.weight_decay: got 0.0003"),
    ({"optimizer": dataclasses.replace(LARS, weight_decay=0.0)}, "optimizer.lars.weight_decay: got 0.0"),
    ({"optimizer": dataclasses.replace(LARS, momentum=0.94)}, "optimizer.lars.momentum: got 0.94"),
    (
        {"optimizer": dataclasses.replace(SGD, base_learning_rate=1.6005)},
        "optimizer.sgd.base_learning_rate: got 1.6005",
    ),
    ({"optimizer": dataclasses.replace(SGD, end_learning_rate=0.0)}, "optimizer.sgd.end_learning_rate: got 0.0"),
    ({"optimizer": dataclasses.replace(SGD, decay_power=1.0)}, "optimizer.sgd.decay_power: got 1.0"),
    ({"optimizer": dataclasses.replace(SGD, weight_decay=3e-4)}, "optimizer.sgd.weight_decay: got 0.0003"),
    ({"optimizer": dataclasses.replace(SGD, momentum=0.8)}, "optimizer.sgd.momentum: got 0.8"),
    ({"optimizer": spec.Lamb(base_learning_rate=0.1)}, "optimizer: got lamb"),
    ({"evaluation": spec.Evaluation(every_epochs=4, offset=3, at_start=True)}, "evaluation.at_start: got true"),
]

KEPT = [
    {},
    {"optimizer": SGD},
    {"optimizer": dataclasses.replace(LARS, momentum=0.94), "global_batch_size": 32768},
    {"optimizer": dataclasses.replace(LARS, weight_decay=2e-4, decay_steps=100, warmup_epochs=0)},
    {"evaluation": spec.Evaluation(every_epochs=4, offset=0), "max_epochs": 44},
    {"evaluation": spec.Evaluation(every_epochs=4, offset=3), "max_epochs": 3},
    {"model": _model(label_smoothing=0.0)},
    {"data": _data(Tfds(name="imagenet2012:5.1.0"))},
    {"precision": "mixed_bfloat16", "gradient_accumulation_steps": 4, "steps_per_execution": 8, "jit": "on"},
]


@pytest.mark.parametrize(("changes", "message"), BROKEN, ids=[message.split(".")[0] for _, message in BROKEN])
def test_each_broken_rule_is_told_alone_with_its_source(asked, changes: dict[str, object], message: str) -> None:
    (violation,) = rules.violations(asked(**changes), RESNET)
    assert violation.startswith(message)
    assert "Accepted in the closed division" in violation
    assert violation.endswith(("(training_rules.adoc).", "(closed_resnet_lars.yaml).", "(closed_resnet_sgd.yaml)."))


@pytest.mark.parametrize("changes", KEPT)
def test_what_the_rules_leave_free_is_free(asked, changes: dict[str, object]) -> None:
    assert rules.violations(asked(**changes), RESNET) == ()
    rules.check_training(asked(**changes), RESNET)


def test_all_violations_are_raised_together(asked) -> None:
    run = asked(seed=1, quality_target=0.1, optimizer=dataclasses.replace(LARS, epsilon=1e-7))
    with pytest.raises(ConfigError) as raised:
        rules.check_training(run, RESNET)
    assert [line.split(":")[0] for line in raised.value.violations] == [
        "quality_target",
        "seed",
        "optimizer.lars.epsilon",
    ]
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("division", [spec.Division.OPEN, spec.Division.INTERNAL])
def test_only_the_closed_division_is_closed(asked, division: spec.Division) -> None:
    rules.check_training(asked(division=division, seed=1, quality_target=0.1), RESNET)


def test_a_mini_cannot_run_closed(asked) -> None:
    mini = benchmarks.get("resnet50_mini")
    with pytest.raises(ConfigError, match="resnet50_mini is not an MLPerf benchmark and can't run closed"):
        rules.check_training(asked(benchmark="resnet50_mini"), mini)


def test_a_benchmark_from_elsewhere_never_runs_closed_whatever_it_says_of_itself(asked) -> None:
    easier = dataclasses.replace(
        RESNET.training, quality=dataclasses.replace(RESNET.training.quality, value=0.1), rules=lambda spec: ()
    )
    claimed = dataclasses.replace(RESNET, name="mine.resnet50", training=easier)
    with pytest.raises(ConfigError, match=r"mine\.resnet50 has mlperf=True, but it is not one of tfperf's own"):
        rules.check_training(asked(benchmark="mine.resnet50"), claimed)
    assert len(rules.violations(asked(division=spec.Division.OPEN), claimed)) == 1
    rules.check_training(asked(benchmark="mine.resnet50", division=spec.Division.OPEN), claimed)


def test_what_shows_only_when_it_runs() -> None:
    task = RESNET.training
    kept = {"cache_cleared": True, "train_examples": 1_281_167, "eval_examples": 50_000, "init_s": 100.0}
    assert rules.ineligibilities(task, **kept) == ()
    broken = {"cache_cleared": False, "train_examples": 512, "eval_examples": 64, "init_s": 2400.0}
    assert rules.ineligibilities(task, **broken, resumed=True, clock_started_by_hand=False) == (
        "The training set has 512 examples; the benchmark's has 1281167 (training_rules.adoc).",
        "The evaluation set has 64 examples; the benchmark's has 50000 (training_rules.adoc).",
        "The caches were not cleared before the run; that needs root (training_rules.adoc, cache_clear).",
        "The run continued from a checkpoint; a closed run starts from scratch (training_rules.adoc).",
        "The initialisation took 40.0 minutes; less than 30 are accepted (training_rules.adoc).",
        "The clock may have started after data was read; start the clock first (training_rules.adoc).",
    )
