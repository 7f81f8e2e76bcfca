"""The rules of MLPerf Training's closed division that all benchmarks share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask, TrainingTask
from tfperf.benchmarks.closed_rule import broken, different
from tfperf.errors import ConfigError

_RULES = "training_rules.adoc"
_INIT_LIMIT_S = 30 * 60


def check_training(spec: specs.TrainSpec, benchmark: Benchmark) -> None:
    """Refuses a closed run that breaks a rule.

    Raises:
        ConfigError: lists every violation.
    """
    if spec.division is not specs.Division.CLOSED:
        return
    found = violations(spec, benchmark)
    if found:
        raise ConfigError(found)


def violations(spec: specs.TrainSpec, benchmark: Benchmark) -> tuple[str, ...]:
    """The closed rules that the spec breaks, each with the value received, the values accepted and the source."""
    task = benchmark.training
    never = never_closed(benchmark) or other_task(spec, benchmark, task)
    if never or task is None:
        return never
    return (*_shared(spec, task), *_options(spec, task), *(task.rules(spec) if task.rules is not None else ()))


def never_closed(benchmark: Benchmark) -> tuple[str, ...]:
    """Why no run of a benchmark can be closed; empty for tfperf's own MLPerf benchmarks.

    A benchmark defined elsewhere may set `mlperf=True` and still have a different model, different data or an easier
    target.
    """
    if benchmarks.is_mlperf(benchmark):
        return ()
    if benchmark.mlperf:
        return (
            f"benchmark: {benchmark.name} has mlperf=True, but it is not one of tfperf's own benchmarks, so nothing "
            "ensures that its model, its data and its target are those of MLPerf. It can't run closed. "
            "Set division: open.",
        )
    return (f"benchmark: {benchmark.name} is not an MLPerf benchmark and can't run closed. Set division: open.",)


def other_task(
    spec: specs.TrainSpec | specs.InferSpec, benchmark: Benchmark, task: TrainingTask | InferenceTask | None
) -> tuple[str, ...]:
    """Why a spec is not one of a benchmark's task; empty if it is.

    A small version may have a task that its benchmark lacks, so that none of the rules apply.

    Args:
        spec: the spec.
        benchmark: the benchmark by whose rules it is judged.
        task: the benchmark's task of this kind.
    """
    if task is not None and isinstance(spec.model, type(task.options) | None):
        return ()
    verb = "trains" if isinstance(spec, specs.TrainSpec) else "serves"
    return (
        f"benchmark: this config {verb} another task than MLPerf's {benchmark.name}, and can't run closed. "
        "Set division: open.",
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
    """The closed rules that a run has broken and that its spec alone can't show.

    Args:
        task: how the benchmark is trained.
        cache_cleared: whether the system's caches were dropped before the run.
        train_examples: examples found in the training set.
        eval_examples: examples found in the evaluation set.
        init_s: seconds from `init_start` to `init_stop`.
        resumed: whether the run continued from a checkpoint.
        clock_started_by_hand: whether the clock was started explicitly, before any data was read. A Keras callback is
            called too late for that.
    """
    counts = (("training", train_examples, task.train_examples), ("evaluation", eval_examples, task.eval_examples))
    wrong_counts = [
        f"The {name} set has {found} examples; the benchmark's has {expected} ({_RULES})."
        for name, found, expected in counts
        if expected is not None and found != expected
    ]
    checks = (
        (cache_cleared, f"The caches were not cleared before the run; that needs root ({_RULES}, cache_clear)."),
        (not resumed, f"The run continued from a checkpoint; a closed run starts from scratch ({_RULES})."),
        (
            init_s < _INIT_LIMIT_S,
            f"The initialisation took {init_s / 60:.1f} minutes; less than 30 are accepted ({_RULES}).",
        ),
        (
            clock_started_by_hand,
            f"The clock may have started after data was read; start the clock first ({_RULES}).",
        ),
    )
    return (*wrong_counts, *(message for holds, message in checks if not holds))


def _shared(spec: specs.TrainSpec, task: TrainingTask) -> Iterator[str]:
    if spec.quality_target is not None:
        accepted = f"the benchmark's {task.quality.value}: leave it out"
        yield broken("quality_target", spec.quality_target, accepted, _RULES)
    if spec.seed is not None:
        yield broken("seed", spec.seed, "null, so that each run draws its own", _RULES)
    if spec.data.skip_corrupt:
        yield broken("data.skip_corrupt", spec.data.skip_corrupt, "0", _RULES)


def _options(spec: specs.TrainSpec, task: TrainingTask) -> Iterator[str]:
    if spec.model is None:
        return
    free = dict(task.tunable)
    for field in dataclasses.fields(task.options):
        if field.name in task.left_to_rules:
            continue
        received, fixed = getattr(spec.model, field.name), getattr(task.options, field.name)
        accepted = free.get(field.name)
        if accepted is None:
            yield from different(f"model.{field.name}", received, fixed, _RULES)
        elif received not in accepted:
            yield broken(f"model.{field.name}", received, " or ".join(map(str, accepted)), _RULES)
