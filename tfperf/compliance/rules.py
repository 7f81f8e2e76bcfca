"""The rules of the closed division, as far as a config can break them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfperf import spec
from tfperf.benchmarks.benchmark import Benchmark, TrainingTask
from tfperf.benchmarks.closed_rule import broken
from tfperf.errors import ConfigError

_RULES = "training_rules.adoc"
_INIT_LIMIT_S = 30 * 60


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
    if not benchmark.mlperf or benchmark.training is None:  # there are no rules that it could keep
        return (f"benchmark: {benchmark.name} is no MLPerf benchmark and can't run closed. Set division: open.",)
    task = benchmark.training
    return (
        *_shared(asked, task),
        *_options(asked, task),
        *(task.rules(asked) if task.rules is not None else ()),
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
        yield broken(
            "quality_target", asked.quality_target, f"the benchmark's {task.quality.value}: leave it out", _RULES
        )
    if asked.seed is not None:
        yield broken("seed", asked.seed, "null, so that each run draws its own", _RULES)
    if asked.data.skip_corrupt:
        yield broken("data.skip_corrupt", asked.data.skip_corrupt, "0", _RULES)


def _options(asked: spec.TrainSpec, task: TrainingTask) -> Iterator[str]:
    if asked.model is None:
        return
    free = dict(task.tunable)
    for field in dataclasses.fields(task.options):
        received, fixed = getattr(asked.model, field.name), getattr(task.options, field.name)
        accepted = free.get(field.name, (fixed,))
        if received not in accepted:
            yield broken(f"model.{field.name}", received, " or ".join(map(str, accepted)), _RULES)
