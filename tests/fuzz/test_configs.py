"""Whatever a config holds, it becomes a spec or a list of violations, soon."""

import functools
import pathlib
import random

import yaml

from tests.fuzz.mutation import damaged, odd, run_all, seeds
from tfperf import benchmarks, config, spec
from tfperf.compliance import rules, serving_rules
from tfperf.errors import ConfigError

CASES = 5000

TRAIN = """\
benchmark: resnet50_mini
division: open
global_batch_size: 64
max_epochs: 8
optimizer:
  sgd: {base_learning_rate: 0.1, momentum: 0.9, warmup_epochs: 1}
data:
  source: {shapes: {train_examples: 64, eval_examples: 40}}
model: {image_size: 32, blocks: [1], width: 4}
evaluation: {every_epochs: 2, offset: 1}
seed: 7
submission: {org: Someone, platform: null}
"""
INFER = """\
benchmark: resnet50_mini
division: internal
scenario:
  server: {target_qps: auto, latency_bound_ms: 15}
data:
  source: {shapes: {}}
executable: auto
batch_sizes: [1, 2, 4]
min_duration_s: 10
instances: 1
quality_target: 0.9
"""
SWEEP = """\
base: resnet50-mini
set: {max_epochs: 2, optimizer.sgd.momentum: 0.8}
space:
  optimizer.sgd.base_learning_rate: {log_uniform: [0.01, 1]}
  global_batch_size: {choice: [32, 64]}
  optimizer.sgd.warmup_epochs: {integers: [0, 1]}
objective: quality
search: random
max_trials: 4
"""
KEYS = ("benchmark", "model", "data.source", "optimizer.lars", "space", "scenario", "seed", "a.b.c", "set.x", "")


def test_a_config_becomes_a_spec_or_violations(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mine.yaml"
    ended = run_all(
        ((f"config {number}", functools.partial(use, path, chance)) for number, chance in seeds(CASES)),
        accepted=(ConfigError,),
    )
    assert ended["accepted"] > CASES / 50, ended
    assert ended["ConfigError"] > CASES / 2, ended


def use(path: pathlib.Path, chance: random.Random) -> None:
    text, load = chance.choice(
        ((TRAIN, config.load), (INFER, config.load_inference)) * 3 + ((SWEEP, config.load_sweep),)
    )
    how = chance.randrange(4)
    if how == 0:
        path.write_bytes(damaged(text.encode(), chance))
    elif how == 1:
        path.write_text(with_an_odd_value(text, chance), encoding="utf-8")
    else:
        path.write_text(text, encoding="utf-8")
    overrides = [override(text, chance)] if how == 2 else []
    if how == 3:
        value = chance.choice(("0", "1", "2", "3.5", "1e3", "null", "auto", "on", "open"))
        overrides = [f"{chance.choice(keys(text))}={value}"]
    kept = load(str(path), task_of=benchmarks.task, overrides=overrides)
    path.write_text(config.dump(kept), encoding="utf-8")
    assert load(str(path), task_of=benchmarks.task) == kept
    if isinstance(kept, spec.TrainSpec):
        rules.violations(kept, benchmarks.get(kept.benchmark))
    elif isinstance(kept, spec.InferSpec):
        serving_rules.violations(kept, benchmarks.get(kept.benchmark))


def with_an_odd_value(text: str, chance: random.Random) -> str:
    """The config with an odd text in place of a value, or under another key."""
    lines = text.splitlines()
    number = chance.randrange(len(lines))
    key = lines[number].partition(":")[0] if chance.random() < 0.8 else odd(chance)
    lines[number] = f"{key}: {odd(chance)}"
    return "\n".join(lines) + "\n"


def override(text: str, chance: random.Random) -> str:
    key = chance.choice((*keys(text), *KEYS, odd(chance), ".".join("a" * chance.choice((3, 5000)))))
    return f"{key}={odd(chance)}" if chance.random() < 0.9 else key


def keys(text: str) -> list[str]:
    """The fields of the config, dotted, and some that only another kind of config has."""
    known = [line.partition(":")[0].strip() for line in text.splitlines()]
    return [
        *known,
        "optimizer.sgd.momentum",
        "data.source.shapes.train_examples",
        "model.blocks",
        "scenario.server.target_qps",
    ]


def test_yaml_itself_reads_what_is_dumped(tmp_path: pathlib.Path) -> None:
    """Other programs read `spec.yaml`, most of them by the older yaml."""
    (tmp_path / "mine.yaml").write_text(TRAIN.replace("Someone", '"1e-4"'), encoding="utf-8")
    kept = config.load(str(tmp_path / "mine.yaml"), task_of=benchmarks.task)
    assert yaml.safe_load(config.dump(kept)) == config.as_dict(kept)
