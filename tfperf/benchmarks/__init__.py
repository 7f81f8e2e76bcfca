"""Benchmarks by name.

Each benchmark is a value: see `tfperf.benchmarks.benchmark`. A name with a dot is the path of a module that holds a
`BENCHMARK`, so your own benchmark is one module and one config.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Literal, TypeAlias, overload

from tfperf.benchmarks.benchmark import Benchmark, BenchmarkError, InferenceTask, TrainingTask
from tfperf.errors import ConfigError

Verb: TypeAlias = Literal["train", "infer"]

_PACKAGES = ("resnet50", "bert", "ssd", "retinanet")


def names() -> tuple[str, ...]:
    """The benchmarks that come with tfperf."""
    return tuple(benchmark.name for package in _PACKAGES for benchmark in _in_package(package))


def get(name: str) -> Benchmark:
    """The benchmark called `name`.

    Args:
        name: one of `names()`, or the dotted path of a module that holds a `BENCHMARK`.

    Raises:
        ConfigError: there is no such benchmark, or the module defines one that can't be run.
    """
    if "." in name:
        return _imported(name)
    for package in _PACKAGES:
        for benchmark in _in_package(package):
            if benchmark.name == name:
                return benchmark
    close = difflib.get_close_matches(name, names(), n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    accepted = f"Accepted: {', '.join(names())}, or a module such as my_package.my_benchmark."
    raise ConfigError((f"benchmark: unknown name {name!r}.{hint} {accepted}",))


def is_own(benchmark: Benchmark) -> bool:
    """Whether this very object comes with tfperf; one of the same name or an altered copy doesn't."""
    return any(benchmark is own for package in _PACKAGES for own in _in_package(package))


def is_mlperf(benchmark: Benchmark) -> bool:
    """Whether this is an MLPerf benchmark at full size. Others may claim that, but only tfperf's own are."""
    return benchmark.mlperf and is_own(benchmark)


@overload
def task(name: str, verb: Literal["train"]) -> TrainingTask: ...
@overload
def task(name: str, verb: Literal["infer"]) -> InferenceTask: ...
@overload
def task(name: str, verb: Verb) -> TrainingTask | InferenceTask: ...
def task(name: str, verb: Verb) -> TrainingTask | InferenceTask:
    """How the benchmark called `name` is trained or served.

    Raises:
        ConfigError: there is no such benchmark, or it has no such task.
    """
    benchmark = get(name)
    found = benchmark.training if verb == "train" else benchmark.inference
    if found is None:
        raise ConfigError((_lacks(name, verb),))
    return found


def training_task(benchmark: Benchmark) -> TrainingTask:
    """How a benchmark is trained.

    Raises:
        ConfigError: it can only be served.
    """
    if benchmark.training is None:
        raise ConfigError((_lacks(benchmark.name, "train"),))
    return benchmark.training


def inference_task(benchmark: Benchmark) -> InferenceTask:
    """How a benchmark is served.

    Raises:
        ConfigError: it can only be trained.
    """
    if benchmark.inference is None:
        raise ConfigError((_lacks(benchmark.name, "infer"),))
    return benchmark.inference


def _lacks(name: str, verb: Verb) -> str:
    if verb == "train":
        return f"benchmark: {name} has no training task, so it can only be served. Run tfperf infer."
    return f"benchmark: {name} has no inference task, so it can only be trained. Run tfperf train."


def _in_package(package: str) -> tuple[Benchmark, ...]:
    module = importlib.import_module(f"tfperf.benchmarks.{package}")
    found: tuple[Benchmark, ...] = module.BENCHMARKS
    return found


def _imported(name: str) -> Benchmark:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError((f"benchmark: {name!r} is not a module name. Write one as my_package.my_benchmark.",))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        advice = f"Module {error.name!r} can't be imported. Run from the directory that holds it, or set PYTHONPATH."
        raise ConfigError((f"benchmark: {name!r}: {advice}",)) from error
    except BenchmarkError as error:
        raise ConfigError((f"benchmark: {name!r}: {error}",)) from error
    benchmark = getattr(module, "BENCHMARK", None)
    if not isinstance(benchmark, Benchmark):
        raise ConfigError((f"benchmark: module {name} must hold BENCHMARK, a tfperf.Benchmark; got {benchmark!r}.",))
    return benchmark
