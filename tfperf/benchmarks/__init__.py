"""Benchmarks by name.

Each benchmark is a value: see `tfperf.benchmarks.benchmark`. A name with a dot is imported as a module and its
`BENCHMARK` taken, so that a benchmark of one's own is one module and one config.
"""

from __future__ import annotations

import difflib
import importlib

from tfperf.benchmarks.benchmark import Benchmark, InferenceTask
from tfperf.errors import ConfigError

_PACKAGES = ("resnet50",)


def names() -> tuple[str, ...]:
    """The benchmarks that come with tfperf."""
    return tuple(benchmark.name for package in _PACKAGES for benchmark in _in_package(package))


def get(name: str) -> Benchmark:
    """The benchmark called `name`.

    Args:
        name: one of `names()`, or the dotted path of a module that holds a `BENCHMARK`.

    Raises:
        ConfigError: there is no such benchmark.
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


def inference_task(name: str) -> InferenceTask:
    """How the benchmark called `name` is served.

    Raises:
        ConfigError: there is no such benchmark, or it can only be trained.
    """
    task = get(name).inference
    if task is None:
        raise ConfigError((f"benchmark: {name} has no inference half, so it can be trained only.",))
    return task


def _in_package(package: str) -> tuple[Benchmark, ...]:
    module = importlib.import_module(f"tfperf.benchmarks.{package}")
    return (module.BENCHMARK, module.MINI)


def _imported(name: str) -> Benchmark:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        advice = f"No module {error.name!r} can be imported. Run where Python finds it, or set PYTHONPATH."
        raise ConfigError((f"benchmark: {name!r}: {advice}",)) from error
    benchmark = getattr(module, "BENCHMARK", None)
    if not isinstance(benchmark, Benchmark):
        raise ConfigError((f"benchmark: module {name} must hold BENCHMARK, a tfperf.Benchmark; got {benchmark!r}.",))
    return benchmark
