"""The arguments of the callback and of `measure`, checked before anything runs."""

from __future__ import annotations

import os
import pathlib
import typing
from typing import Any

import keras

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.callback import run_directory
from tfperf.callback.run_directory import IfTaken, RunIdentity
from tfperf.errors import ArgumentError, ConfigError
from tfperf.training import goal as goals

PREFIX = "val_"


def identity(
    *, monitor: str | None, mode: str, target: float | None, benchmark: str | Benchmark | None, prefixed: bool
) -> RunIdentity:
    """What is trained, and to what target.

    Args:
        monitor: the metric, as the caller's loop names it.
        mode: `auto`, `max` or `min`.
        target: the value to reach.
        benchmark: a benchmark or its name. It supplies the metric and the target if they are None.
        prefixed: whether the names of metrics on held-out data begin with Keras's `val_`.

    Raises:
        ArgumentError: the arguments contradict each other, or the benchmark does not exist.
    """
    known = _benchmark(benchmark)
    if known is not None:
        quality = benchmarks.training_task(known).quality
        own = f"{PREFIX}{quality.metric}" if prefixed else quality.metric
        if benchmarks.is_mlperf(known):
            _require_own(known, "target", received=target, own=quality.value)
            _require_own(known, "monitor", received=monitor, own=own)
        monitor = monitor or own
        target = quality.value if target is None else target
    if monitor is not None and prefixed and not monitor.startswith(PREFIX):
        raise ArgumentError(
            f"monitor must be measured on held-out data, so its name begins with {PREFIX!r}; got {monitor!r}. "
            f"Write monitor={PREFIX + monitor!r} and give fit validation_data."
        )
    metric = monitor.removeprefix(PREFIX) if monitor is not None and prefixed else monitor
    called = monitor or "monitor"
    return RunIdentity(benchmark=known, goal=goals.checked(metric, mode=mode, target=target, called=called))


def directory(log_dir: str | os.PathLike[str], *, if_taken: str) -> tuple[pathlib.Path, IfTaken]:
    """The path of the run directory, and what to do if it holds a run.

    Raises:
        ArgumentError: it can't be made, or holds a run that the caller wants to be refused.
    """
    choices: tuple[IfTaken, ...] = typing.get_args(IfTaken)
    if if_taken not in choices:
        raise ArgumentError(f"if_taken must be {' or '.join(map(repr, choices))}, got {if_taken!r}.")
    path = pathlib.Path(log_dir)
    run_directory.check(path, if_taken=if_taken)
    return path, if_taken


def check_backend() -> None:
    """Refuses Keras's other backends, whose `fit` works in another way.

    Raises:
        ArgumentError: names the backend and how to choose TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ArgumentError(
            f"MLPerfCallback measures Keras on TensorFlow; this process runs Keras on {backend}. Set "
            "KERAS_BACKEND=tensorflow before Keras is imported, or measure a custom loop with tfperf.measure."
        )


def check_model(model: Any) -> None:
    """Refuses a model that is not one of Keras 3.

    Raises:
        ArgumentError: says what it is.
    """
    if isinstance(model, keras.Model):
        return
    found = f"{type(model).__module__}.{type(model).__qualname__}"
    if found.startswith("tf_keras."):
        raise ArgumentError(
            f"MLPerfCallback measures models of Keras 3, got {found}, a model of Keras 2. Build it with "
            "`import keras`; for tf.keras, unset TF_USE_LEGACY_KERAS."
        )
    raise ArgumentError(f"MLPerfCallback measures models of Keras 3 (keras.Model), got {found}.")


def batch_size(value: int | None, *, of: RunIdentity) -> int | None:
    """The caller's `global_batch_size`.

    Args:
        value: as the caller gave it.
        of: what is trained.

    Raises:
        ArgumentError: it is not a batch size, or is missing for a benchmark whose log counts samples.
    """
    if value is None and of.unit == "samples":
        raise ArgumentError(
            f"benchmark={of.name!r} counts samples in its log, so the examples in a step must be known before the "
            "first one. Pass global_batch_size."
        )
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentError(f"global_batch_size must be a whole number above 0, got {value!r}.")
    return value


def telemetry(rate_hz: float) -> specs.TelemetrySpec:
    """What to record about the machine, `rate_hz` times a second.

    Raises:
        ArgumentError: it is not a rate.
    """
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float):
        raise ArgumentError(f"telemetry_hz must be a number, got {rate_hz!r}.")
    try:
        return specs.TelemetrySpec(rate_hz=float(rate_hz), idle_s=0.0)  # nobody knows what ran before
    except ValueError as error:
        raise ArgumentError(f"telemetry_hz: {error}") from error


def _require_own(benchmark: Benchmark, name: str, *, received: object, own: object) -> None:
    """Refuses a metric or a target that is not the one of the MLPerf benchmark."""
    if received is not None and received != own:
        raise ArgumentError(
            f"{name}={received!r} is not that of {benchmark.name}, {own!r}. Leave {name} out, or leave benchmark out."
        )


def _benchmark(benchmark: str | Benchmark | None) -> Benchmark | None:
    if benchmark is None:
        return None
    if not isinstance(benchmark, (str, Benchmark)):
        raise ArgumentError(f"benchmark must be a name or a tfperf.Benchmark, got {benchmark!r}.")
    try:
        found = benchmarks.get(benchmark) if isinstance(benchmark, str) else benchmark
        benchmarks.training_task(found)
    except ConfigError as error:
        raise ArgumentError(str(error)) from error
    return found
