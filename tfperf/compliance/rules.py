"""The rules of the closed division, as far as a config can break them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, TrainingTask
from tfperf.errors import ConfigError

_RULES = "training_rules.adoc"
_LARS_RULES = "closed_resnet_lars.yaml"
_SGD_RULES = "closed_resnet_sgd.yaml"

# training_rules.adoc: momentum is 0.9 below this batch size and free from it on.
_FREE_LARS_MOMENTUM_FROM_BATCH_SIZE = 32 * 1024
_MOMENTUM = 0.9
_END_LEARNING_RATE = 1e-4
_DECAY_POWER = 2.0
_SMALLEST_RATE_STEP = 0.001
_WEIGHT_DECAY_UNIT = 1e-4
_INIT_LIMIT_S = 30 * 60
_TOLERANCE = 1e-5  # that of the official checker's is_integer


def check_training(asked: spec.TrainSpec, benchmark: Benchmark) -> None:
    """Refuses a closed run that breaks a rule.

    Raises:
        ConfigError: every violation.
    """
    if asked.division is not spec.Division.CLOSED:
        return
    found = violations(asked, benchmark)
    if found:
        raise ConfigError(found)


def violations(asked: spec.TrainSpec, benchmark: Benchmark) -> tuple[str, ...]:
    """What keeps a run out of the closed division: each with what was received, what is accepted, and the rule."""
    if not benchmark.mlperf:  # there are no rules that it could keep
        return (f"benchmark: {benchmark.name} is no MLPerf benchmark and can't run closed. Set division: open.",)
    task = benchmark.training
    return (
        *_shared(asked, task),
        *_options(asked, task),
        *(_resnet(asked) if task.submission_benchmark == "resnet" else ()),
    )


def ineligibilities(
    task: TrainingTask,
    *,
    cache_cleared: bool,
    train_examples: int,
    eval_examples: int,
    init_s: float,
    resumed: bool = False,
    clock_started_by_hand: bool = True,
) -> tuple[str, ...]:
    """What keeps a run out of the closed division and shows only when it runs.

    Args:
        task: the benchmark's training.
        cache_cleared: whether the system's caches were really dropped before the run.
        train_examples: examples in the training set as found.
        eval_examples: examples in the evaluation set as found.
        init_s: seconds from `init_start` to `init_stop`.
        resumed: whether the run went on from a checkpoint.
        clock_started_by_hand: whether the clock was started before the data was touched; a callback alone can't.
    """
    counts = (("training", train_examples, task.train_examples), ("evaluation", eval_examples, task.eval_examples))
    wrong_counts = [
        f"The {name} set has {found} examples; the benchmark's has {expected} ({_RULES})."
        for name, found, expected in counts
        if expected is not None and found != expected
    ]
    checks = (
        (cache_cleared, f"The caches were not cleared before the run; that needs root ({_RULES}, cache_clear)."),
        (not resumed, f"The run went on from a checkpoint; a closed run starts from scratch ({_RULES})."),
        (
            init_s < _INIT_LIMIT_S,
            f"The initialisation took {init_s / 60:.1f} minutes; less than 30 are accepted ({_RULES}).",
        ),
        (
            clock_started_by_hand,
            f"The clock may have started after data was read; start the recorder first ({_RULES}).",
        ),
    )
    return (*wrong_counts, *(message for holds, message in checks if not holds))


def _shared(asked: spec.TrainSpec, task: TrainingTask) -> Iterator[str]:
    if asked.quality_target is not None:
        yield _broken(
            "quality_target", asked.quality_target, f"the benchmark's {task.quality.value}: leave it out", _RULES
        )
    if asked.seed is not None:
        yield _broken("seed", asked.seed, "null, so that each run draws its own", _RULES)
    if asked.data.skip_corrupt:
        yield _broken("data.skip_corrupt", asked.data.skip_corrupt, "0", _RULES)
    every = asked.evaluation.every_epochs
    if every != task.evaluate_every_epochs:
        yield _broken("evaluation.every_epochs", every, str(task.evaluate_every_epochs), _RULES)


def _options(asked: spec.TrainSpec, task: TrainingTask) -> Iterator[str]:
    if asked.model is None:
        return
    free = dict(task.tunable)
    for field in dataclasses.fields(task.options):
        received, fixed = getattr(asked.model, field.name), getattr(task.options, field.name)
        accepted = free.get(field.name, (fixed,))
        if received not in accepted:
            yield _broken(f"model.{field.name}", received, " or ".join(map(str, accepted)), _RULES)


def _resnet(asked: spec.TrainSpec) -> Iterator[str]:
    yield from _imagenet(asked.data.source)
    if isinstance(asked.optimizer, spec.Lars):
        yield from _lars(asked.optimizer, batch_size=asked.global_batch_size)
    else:
        yield from _sgd(asked.optimizer)


def _imagenet(source: spec.Source) -> Iterator[str]:
    accepted = "tfrecords or tfds with the whole of ImageNet-1k"
    if isinstance(source, spec.Tfds):
        name = source.name.partition(":")[0]
        if (name, source.train_split, source.eval_split) != ("imagenet2012", "train", "validation"):
            received = f"tfds {source.name}, {source.train_split}, {source.eval_split}"
            yield _broken("data.source", received, "tfds imagenet2012, train, validation", _RULES)
    elif isinstance(source, spec.Shapes):
        yield _broken("data.source", "shapes, the embedded data", accepted, _RULES)
    elif isinstance(source, spec.Folder):
        yield _broken("data.source", "folder", accepted, _RULES)


def _lars(optimizer: spec.Lars, *, batch_size: int) -> Iterator[str]:
    yield from _schedule(optimizer, name="optimizer.lars", rules=_LARS_RULES)
    if optimizer.epsilon != 0:
        yield _broken("optimizer.lars.epsilon", optimizer.epsilon, "0", _LARS_RULES)
    if optimizer.momentum != _MOMENTUM and batch_size < _FREE_LARS_MOMENTUM_FROM_BATCH_SIZE:
        accepted = f"{_MOMENTUM} for a global batch size below {_FREE_LARS_MOMENTUM_FROM_BATCH_SIZE}"
        yield _broken("optimizer.lars.momentum", optimizer.momentum, accepted, _RULES)


def _sgd(optimizer: spec.Sgd) -> Iterator[str]:
    yield from _schedule(optimizer, name="optimizer.sgd", rules=_SGD_RULES)
    steps = optimizer.base_learning_rate / _SMALLEST_RATE_STEP
    if abs(round(steps) - steps) >= _TOLERANCE:
        received, accepted = optimizer.base_learning_rate, f"a multiple of {_SMALLEST_RATE_STEP}"
        yield _broken("optimizer.sgd.base_learning_rate", received, accepted, _SGD_RULES)
    if optimizer.momentum != _MOMENTUM:
        yield _broken("optimizer.sgd.momentum", optimizer.momentum, str(_MOMENTUM), _RULES)


def _schedule(optimizer: spec.Optimizer, *, name: str, rules: str) -> Iterator[str]:
    if optimizer.end_learning_rate != _END_LEARNING_RATE:
        yield _broken(f"{name}.end_learning_rate", optimizer.end_learning_rate, str(_END_LEARNING_RATE), rules)
    if optimizer.decay_power != _DECAY_POWER:
        source = rules if rules == _LARS_RULES else _RULES  # the checker's rules for SGD do not ask
        yield _broken(f"{name}.decay_power", optimizer.decay_power, f"{_DECAY_POWER:g}", source)
    if not _is_unit_times_power_of_two(optimizer.weight_decay):
        accepted = f"{_WEIGHT_DECAY_UNIT} times a power of 2, such as 5e-05 or 0.0002"
        yield _broken(f"{name}.weight_decay", optimizer.weight_decay, accepted, rules)


def _is_unit_times_power_of_two(value: float) -> bool:
    if value <= 0:
        return False
    exponent = math.log2(value / _WEIGHT_DECAY_UNIT)
    return abs(round(exponent) - exponent) < _TOLERANCE


def _broken(name: str, received: object, accepted: str, rule: str) -> str:
    return f"{name}: got {received}. Accepted in the closed division: {accepted} ({rule})."
