"""Configs are read strictly, and everything that is wrong with one is told at once."""

import dataclasses
import itertools
import pathlib

import pytest

import tfperf
from tfperf import benchmarks, config, spec
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.compliance import serving_rules
from tfperf.errors import ConfigError

TRAIN_CONFIGS = [name for name in config.names() if config.verb(name) == "train"]
INFER_CONFIGS = [name for name in config.names() if config.verb(name) == "infer"]


def load_inference(name: str, *overrides: str) -> spec.InferSpec:
    return config.load_inference(name, task_of=benchmarks.task, overrides=overrides)


def load(name: str = "resnet50-mini", *overrides: str) -> spec.TrainSpec:
    return config.load(name, task_of=benchmarks.task, overrides=overrides)


def violations(*overrides: str, name: str = "resnet50-mini") -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        load(name, *overrides)
    return raised.value.violations


@pytest.mark.parametrize("name", TRAIN_CONFIGS)
def test_every_config_of_a_training_loads_and_its_resolved_form_repeats_it(name: str, tmp_path: pathlib.Path) -> None:
    loaded = load(name)
    (tmp_path / "spec.yaml").write_text(config.dump(loaded), encoding="utf-8")
    assert load(str(tmp_path / "spec.yaml")) == loaded


@pytest.mark.parametrize("name", INFER_CONFIGS)
def test_every_config_of_a_measurement_loads_and_keeps_the_rules(name: str, tmp_path: pathlib.Path) -> None:
    loaded = load_inference(name)
    serving_rules.check_inference(loaded, benchmarks.get(loaded.benchmark))
    (tmp_path / "spec.yaml").write_text(config.dump(loaded), encoding="utf-8")
    assert load_inference(str(tmp_path / "spec.yaml")) == loaded


def test_a_config_of_the_other_verb_is_named_with_its_verb() -> None:
    with pytest.raises(ConfigError, match="Run tfperf infer --config resnet50-mini-offline"):
        load("resnet50-mini-offline")
    with pytest.raises(ConfigError, match="Run tfperf train --config resnet50-mini"):
        load_inference("resnet50-mini")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scenario.server.target_qps=fast", "scenario.server.target_qps: expected a number or auto, got 'fast'."),
        ("scenario.server.target_qps=-1", "scenario.server.target_qps must be more than 0, or auto, got -1.0."),
        ("batch_sizes=[4, 1]", "batch_sizes must be whole numbers above 0, ascending, or null, got (4, 1)."),
        (
            "scenario.offline.target_qps=1",
            "scenario: expected exactly one of the blocks singlestream, multistream, server, offline; got server, "
            "offline.",
        ),
        ("min_duration_s=0", "min_duration_s must be more than 0, got 0.0."),
    ],
)
def test_a_measurement_is_read_as_strictly(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_inference("resnet50-mini-server", override)
    assert raised.value.violations == (message,)


@pytest.mark.parametrize("scenario", ["singlestream", "multistream"])
def test_instances_are_for_scenarios_with_several_queries_at_a_time(scenario: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_inference(f"resnet50-mini-{scenario}", "instances=2")
    (found,) = raised.value.violations
    assert found.startswith(
        "instances must be 1 or more, or auto, in Server and Offline, and 1 in SingleStream and MultiStream"
    )
    assert found.endswith(", got 2.")


@pytest.mark.parametrize("name", config.names())
def test_every_packaged_config_says_command_result_machine_and_time(name: str) -> None:
    header = config.header(name)
    assert f"tfperf {config.verb(name)} --config {name}" in header
    assert "TODO" not in header
    for word in ("Expected:", "Machine:", "Time:"):
        assert word in header


def test_an_override_sets_one_value() -> None:
    assert load("resnet50-mini", "optimizer.sgd.base_learning_rate=1e-3").optimizer == dataclasses.replace(
        load().optimizer, base_learning_rate=0.001
    )


def test_a_block_of_the_model_keeps_what_it_does_not_name() -> None:
    encoder = load("bert-mini").model.encoder
    changed = load("bert-mini", "model.encoder.layers=3").model.encoder
    assert changed == dataclasses.replace(encoder, layers=3)
    assert load("bert-mini", "model={encoder: {layers: 3}}").model.encoder == changed


def test_an_unknown_key_in_a_block_of_the_model_is_told() -> None:
    (message,) = violations("model.encoder.layer=3", name="bert-mini")
    assert message.startswith("model.encoder.layer: unknown key. Did you mean layers?")


def test_later_overrides_win() -> None:
    assert load("resnet50-mini", "seed=1", "seed=2").seed == 2


def test_null_takes_the_place_of_an_optional_value() -> None:
    assert load("resnet50-mini", "seed=5", "seed=null").seed is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "optimizer.sgd.momntum=0.9",
            "optimizer.sgd.momntum: unknown key. Did you mean momentum? Accepted: base_learning_rate, decay_steps, "
            "warmup_epochs, end_learning_rate, decay_power, momentum, weight_decay.",
        ),
        (
            "optimizer.lars.momentum=0.9",
            "optimizer: expected exactly one of the blocks sgd, lars, lamb, adamw, momentum, adam; got sgd, lars.",
        ),
        (
            "optimizer=sgd",
            "optimizer: expected exactly one of the blocks sgd, lars, lamb, adamw, momentum, adam; got 'sgd'.",
        ),
        ("precision=fp8", "precision: expected one of float32, tf32, mixed_bfloat16, mixed_float16; got 'fp8'."),
        ("division=closedd", "division: expected one of closed, open, internal; got 'closedd'."),
        ("max_epochs=many", "max_epochs: expected a whole number, got 'many'."),
        ("max_epochs=1.5", "max_epochs: expected a whole number, got 1.5."),
        ("deterministic=1", "deterministic: expected true or false, got 1."),
        ("global_batch_size=true", "global_batch_size: expected a whole number, got True."),
        ("optimizer.sgd.momentum=.nan", "optimizer.sgd.momentum: expected a number, got nan."),
        ("data=shapes", "data: expected a block of keys, got 'shapes'."),
        (
            "data.source={imagenet: {}}",
            "data.source.imagenet: not a source of resnet50_mini. Accepted: shapes, tfrecords, tfds, folder.",
        ),
        (
            "data.source={tfrecord: {}}",
            "data.source.tfrecord: not a source of resnet50_mini. Did you mean tfrecords? Accepted: shapes, tfrecords, "
            "tfds, folder.",
        ),
        (
            "data.source={shapes: {}, folder: {}}",
            "data.source: expected exactly one of the blocks shapes, tfrecords, tfds, folder; got shapes, folder.",
        ),
        ("model.blocks=4", "model.blocks: expected a list, got 4."),
        ("model.blocks=[1, x]", "model.blocks[1]: expected a whole number, got 'x'."),
        ("model.classes=1", "model.classes must be 2 or more, got 1."),
        ("evaluation={every_epochs: 4, offset: 4}", "evaluation.offset must be 0 to 3, got 4."),
        ("seed=-1", "seed must be 0 to 2147483647, or null, got -1."),
        (
            "gradient_accumulation_steps=3",
            "gradient_accumulation_steps must be a divisor of global_batch_size=64, got 3.",
        ),
        ("global_batch_size", "--set global_batch_size: write key.path=value, such as optimizer.sgd.momentum=0.9."),
        (
            "benchmark=resnet",
            "benchmark: unknown name 'resnet'. Did you mean resnet50? Accepted: resnet50, resnet50_mini, bert, "
            "bert_99_9, bert_squad, bert_mini, bert_mini_squad, ssd, ssd_mini, ssd_voc, retinanet, or a module such "
            "as my_package.my_benchmark.",
        ),
        (
            "benchmark=no_such.module",
            "benchmark: 'no_such.module': Module 'no_such' can't be imported. Run from the directory that holds it, or "
            "set PYTHONPATH.",
        ),
    ],
)
def test_a_mistake_is_told_with_what_is_accepted(override: str, message: str) -> None:
    assert violations(override) == (message,)


def test_all_mistakes_are_told_at_once() -> None:
    found = violations(
        "max_epochs=x", "optimizer.sgd.momentum=2", "optimizer.sgd.weight_decay=-1", "modle={}", "jit=yes"
    )
    assert len(found) == 5


def test_an_unknown_config_is_told_with_the_nearest() -> None:
    (message,) = violations(name="resnet50-mni")
    assert message.startswith("Unknown config 'resnet50-mni'. Did you mean resnet50-mini? Accepted: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold `key: value` lines, got NoneType."),
        ("- a\n", "must hold `key: value` lines, got list."),
        ("a: [\n", "can't be read as yaml:"),
        ("seed: 1\nseed: 2\n", "key 'seed' is given twice"),
        ("seed: !!python/object/apply:os.getcwd []\n", "can't be read as yaml:"),
    ],
)
def test_a_file_that_is_no_config_is_refused(text: str, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    (found,) = violations(name=str(path))
    assert message in found


@pytest.mark.parametrize("value", ["off", "on"])
def test_a_word_that_older_yaml_reads_as_a_truth_value_stays_a_word(value: str, tmp_path: pathlib.Path) -> None:
    loaded = load("resnet50-mini", f"jit={value}")
    assert loaded.jit == value
    (tmp_path / "spec.yaml").write_text(config.dump(loaded), encoding="utf-8")
    assert load(str(tmp_path / "spec.yaml")) == loaded


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("max_epochs=1:30", "max_epochs: expected a whole number, got '1:30'."),
        ("max_epochs=010", "max_epochs: expected a whole number, got '010'."),
        ("max_epochs=\uff12", "max_epochs: expected a whole number, got '\uff12'."),
        (f"max_epochs=1{'0' * 29}", "max_epochs: expected a whole number of at most 9007199254740992, got 1000000"),
        ("max_epochs=3000000000", "max_epochs must be 2147483647 or less, got 3000000000."),
        ("seed=2024-13-45", "seed: expected a whole number, got '2024-13-45'."),
        (f"quality_target={'9' * 400}", "quality_target: expected a number, got 99999"),
        (f"quality_target={'9' * 5000}", "can't be read as yaml: a number of 5,000 characters; at most 400 are read"),
        ("quality_target=\u0663", "quality_target: expected a number, got '\u0663'."),
        ("seed=!!int x", "can't be read as yaml: !!int before 'x'"),
        ("seed=!!null {a: 1}", "can't be read as yaml: expected a scalar node, but found mapping"),
        ("submission.platform=' '", "submission.platform must be a name, or null, got ' '."),
        (
            'submission.org="\\ud800"',
            "submission.org: expected text of printable characters on one line, got '\\ud800'.",
        ),
        ('submission.org="\\e[31m"', "submission.org: expected text of printable characters on one line, got '\\x1b["),
        ("benchmark=..x", "benchmark: '..x' is not a module name. Write one as my_package.my_benchmark."),
        (f"{'.'.join('a' * 40)}=1", "expected at most 32 keys, got 40."),
        (f"seed={'[' * 100}", "can't be read as yaml: more than 32 levels"),
        ("seed=&a [*a]", "can't be read as yaml: a value that holds itself"),
    ],
)
def test_a_value_that_no_field_takes_is_refused(override: str, message: str) -> None:
    (found,) = violations(override)
    assert message in found
    assert len(found) < 500


def test_aliases_within_aliases_are_refused_soon(tmp_path: pathlib.Path) -> None:
    levels = "abcdefgh"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in itertools.pairwise(levels)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join([*lines, "benchmark: *h", ""]), encoding="utf-8")
    (found,) = violations(name=str(path))
    assert "can't be read as yaml: more than 10,000 values" in found


def test_a_file_larger_than_any_config_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("".join(f"key{i}: 1\n" for i in range(20_000)), encoding="utf-8")
    (found,) = violations(name=str(path))
    assert found.endswith("can't be read as yaml: it has more than 65,536 characters, and no config needs as many.")


def test_many_unknown_keys_are_counted() -> None:
    found = violations(*(f"key{i}=1" for i in range(1000)))
    assert (len(found), found[-1]) == (21, "config: 980 more unknown keys.")


def test_a_missing_file_is_told() -> None:
    (found,) = violations(name="nowhere/mine.yaml")
    assert found.startswith("Can't read the config nowhere/mine.yaml: ")


def test_a_config_without_what_has_no_default_tells_each(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("benchmark: resnet50_mini\n", encoding="utf-8")
    missing = [message.partition(":")[0] for message in violations(name=str(path))]
    assert missing == ["division", "global_batch_size", "optimizer", "data"]


def test_a_training_ends_after_epochs_or_after_steps() -> None:
    assert load("resnet50-mini", "max_epochs=null", "max_steps=30").max_steps == 30
    (both,) = violations("max_steps=30")
    assert both.startswith("max_epochs must be left out with max_steps=30: give one of them, got ")
    assert violations("max_epochs=null") == ("max_epochs must be given, or max_steps, got None.",)
    assert load("resnet50-mini", "evaluation={every_samples: 500}").evaluation.every_epochs is None


@pytest.mark.parametrize("key", ["lamb", "adamw"])
def test_an_adaptive_optimizer_is_loaded_and_dumped(key: str) -> None:
    block = "{base_learning_rate: 0.002, training_steps: 600, warmup_steps: 287, beta_2: 0.98, clip: after}"
    loaded = load("resnet50-mini", "optimizer=null", f"optimizer={{{key}: {block}}}")
    kind = {"lamb": spec.Lamb, "adamw": spec.AdamW}[key]
    assert loaded.optimizer == kind(
        base_learning_rate=0.002, training_steps=600, warmup_steps=287, beta_2=0.98, clip="after"
    )
    dumped = config.as_dict(loaded)["optimizer"]
    assert (list(dumped), dumped[key]["clip_norm"], dumped[key]["epsilon"]) == ([key], 1.0, 1e-6)
    assert config.value_of(loaded, f"optimizer.{key}.beta_2") == 0.98


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("clip: always", "clip: expected one of before, after; got 'always'."),
        ("clip_norm: 0", "clip_norm must be more than 0, or null, got 0.0."),
        ("beta_1: 1", "beta_1 must be 0 to below 1, got 1.0."),
        ("epsilon: 0", "epsilon must be more than 0, got 0.0."),
        ("training_steps: 0", "training_steps must be 1 or more, or null, got 0."),
        (
            "start_warmup_step: 5",
            "start_warmup_step must be 0 or less, since rates before it would be negative, got 5.",
        ),
        (
            "start_warmup_step: -9, warmup_steps: 9",
            "start_warmup_step must be more than -9, so that the 9 warm-up steps reach the first step, got -9.",
        ),
        ("warmup_steps: 31", "warmup_steps must be short enough to end within max_steps=30, got 31."),
        ("warmup_epochs: 1", "warmup_epochs: unknown key. Did you mean warmup_steps?"),
    ],
)
def test_an_impossible_value_of_lamb_is_told(values: str, message: str) -> None:
    block = f"optimizer={{lamb: {{base_learning_rate: 0.1, {values}}}}}"
    (found,) = violations("max_epochs=null", "max_steps=30", block)
    assert found.startswith(f"optimizer.lamb.{message}")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("momentum: {base_learning_rate: 1, decay_epochs: [50, 40]}", "decay_epochs must be ascending and 1 or more,"),
        ("momentum: {base_learning_rate: 1, decay_factor: 1}", "decay_factor must be above 0 and below 1, got 1.0."),
        ("momentum: {base_learning_rate: 1, warmup_factor: -1}", "warmup_factor must be 0 or more, got -1."),
        ("adam: {base_learning_rate: 1, warmup_factor: 2}", "warmup_factor must be 0 to 1, got 2.0."),
        ("adam: {base_learning_rate: 1, warmup_epochs: 99}", "warmup_epochs must be at most max_epochs=20, got 99."),
        ("adam: {base_learning_rate: 1, weight_decay: 0.1}", "weight_decay: unknown key."),
    ],
)
def test_an_impossible_value_of_a_detector_s_optimizer_is_told(block: str, message: str) -> None:
    (found,) = violations("max_epochs=20", f"optimizer={{{block}}}")
    assert found.startswith(f"optimizer.{block.partition(':')[0]}.{message}")


@pytest.mark.parametrize("name", [*TRAIN_CONFIGS, *INFER_CONFIGS])
def test_a_source_stands_under_its_key_in_the_resolved_form(name: str) -> None:
    loaded = tfperf.load_config(name)
    (key,) = config.as_dict(loaded)["data"]["source"]
    known = ("shapes", "tfrecords", "tfds", "folder", "shape_captions", "shape_questions", "squad", "scenes", "coco")
    assert key in (*known, "openimages", "voc")


def test_every_verb_takes_the_options_and_sources_of_its_own_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark may serve another size of its model than it trains, and from other data."""
    whole = benchmarks.get("resnet50_mini")
    assert whole.training is not None and whole.inference is not None
    other = dataclasses.replace(
        whole,
        inference=dataclasses.replace(
            whole.inference, options=dataclasses.replace(whole.inference.options, classes=5), sources=(Shapes,)
        ),
    )
    monkeypatch.setattr(benchmarks, "get", lambda name: other)
    training, serving = tfperf.load_config("resnet50-mini"), tfperf.load_config("resnet50-mini-offline")
    assert (training.model.classes, serving.model.classes) == (8, 5)
    with pytest.raises(ConfigError) as raised:
        tfperf.load_config("resnet50-mini-offline", overrides=["data.source={folder: {}}"])
    assert raised.value.violations == ("data.source.folder: not a source of resnet50_mini. Accepted: shapes.",)


@pytest.mark.parametrize(
    ("config_name", "lacking", "message"),
    [
        (
            "resnet50-mini",
            "training",
            "benchmark: resnet50_mini has no training task, so it can only be served. Run tfperf infer.",
        ),
        (
            "resnet50-mini-offline",
            "inference",
            "benchmark: resnet50_mini has no inference task, so it can only be trained. Run tfperf train.",
        ),
    ],
)
def test_a_verb_that_the_benchmark_has_no_task_for_is_refused(
    config_name: str, lacking: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = dataclasses.replace(benchmarks.get("resnet50_mini"), **{lacking: None})
    monkeypatch.setattr(benchmarks, "get", lambda name: half)
    with pytest.raises(ConfigError) as raised:
        tfperf.load_config(config_name)
    assert raised.value.violations == (message,)
