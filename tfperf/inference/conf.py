"""A run's settings under LoadGen's names: as its attributes, as a `user.conf`, and checked against its log."""

from __future__ import annotations

import pathlib
from typing import Any

from tfperf import loadgen_log
from tfperf.inference.job import Settings

_SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")


def attributes(settings: Settings) -> dict[str, int | float]:
    """Our settings under the names of LoadGen's attributes. Times are in nanoseconds, except for the duration."""
    named: dict[str, int | float | None] = {
        "min_duration_ms": round(settings.min_duration_s * 1000),
        "performance_sample_count_override": settings.performance_samples,
        "min_query_count": settings.min_queries,
    }
    latency_ns = None if settings.expected_latency_ns is None else max(1, round(settings.expected_latency_ns))
    match settings.scenario:
        case "SingleStream":
            named["single_stream_expected_latency_ns"] = latency_ns
        case "MultiStream":
            named["multi_stream_expected_latency_ns"] = latency_ns
            named["multi_stream_samples_per_query"] = settings.samples_per_query
        case "Server":
            named["server_target_qps"] = settings.target_qps
            named["server_target_latency_ns"] = settings.latency_bound_ns
        case "Offline":
            named["offline_expected_qps"] = settings.expected_qps
    if settings.seeds is not None:
        named |= zip(_SEEDS, settings.seeds, strict=True)
    return {name: value for name, value in named.items() if value is not None}


def user_conf(settings: Settings) -> str:
    """The settings as the `user.conf` of a submission. Times are in milliseconds there."""
    latency_ns = settings.latency_bound_ns if settings.scenario == "Server" else settings.expected_latency_ns
    values: dict[str, int | float | None] = {
        "min_duration": round(settings.min_duration_s * 1000),
        "min_query_count": settings.min_queries,
        "performance_sample_count_override": settings.performance_samples,
        "target_latency": None if latency_ns is None else latency_ns / 1e6,
        "target_qps": {"Server": settings.target_qps, "Offline": settings.expected_qps}.get(settings.scenario),
        "samples_per_query": settings.samples_per_query if settings.scenario == "MultiStream" else None,
    }
    prefix = f"{settings.loadgen_model}.{settings.scenario}"
    return "".join(f"{prefix}.{name} = {value!r}\n" for name, value in values.items() if value is not None)


def differences(settings: Settings, log_dir: pathlib.Path, *, total: int) -> tuple[str, ...]:
    """Settings that LoadGen's log reports differently, a sentence each; empty when all are the same.

    A compliance test changes settings with its `audit.config`, so the mode is not checked there.

    Args:
        settings: the settings of the run.
        log_dir: directory of the detail log.
        total: samples in the data set.

    Raises:
        OSError: there is no log.
    """
    values = loadgen_log.read(log_dir).values
    expected: dict[str, Any] = {
        "effective_scenario": settings.scenario,
        "effective_min_duration_ms": round(settings.min_duration_s * 1000),
        "effective_performance_sample_count": settings.performance_samples,
        "effective_accuracy_sample_count": total,
        "qsl_reported_total_count": total,
        **{f"requested_{name}": value for name, value in attributes(settings).items()},
    }
    if settings.audit_config is None:
        expected["effective_test_mode"] = {"performance": "PerformanceOnly", "accuracy": "AccuracyOnly"}[settings.mode]
    return tuple(
        f"LoadGen's {name} is {values.get(name)!r}, expected {value!r}"
        for name, value in expected.items()
        if not _same(values.get(name), value)
    )


def _same(logged: Any, expected: Any) -> bool:
    """Whether two values are equal; LoadGen writes doubles, times in ns too, with six digits."""
    if not (isinstance(logged, int | float) and isinstance(expected, int | float)):
        return bool(logged == expected)
    tolerance = 1e-5 * abs(expected) if isinstance(logged, float) or isinstance(expected, float) else 0.0
    return abs(logged - expected) <= tolerance
