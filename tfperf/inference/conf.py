"""A run's settings by LoadGen's names: its attributes, a `user.conf`, and what its log says of them."""

from __future__ import annotations

import pathlib
from typing import Any

from tfperf import loadgen_log
from tfperf.inference.job import Settings


def attributes(settings: Settings) -> dict[str, int | float]:
    """Our settings by the names of LoadGen's attributes; times are nanoseconds but for the duration."""
    asked: dict[str, int | float | None] = {
        "min_duration_ms": round(settings.min_duration_s * 1000),
        "performance_sample_count_override": settings.performance_samples,
        "min_query_count": settings.min_queries,
    }
    latency_ns = None if settings.expected_latency_ns is None else max(1, round(settings.expected_latency_ns))
    match settings.scenario:
        case "SingleStream":
            asked["single_stream_expected_latency_ns"] = latency_ns
        case "MultiStream":
            asked["multi_stream_expected_latency_ns"] = latency_ns
            asked["multi_stream_samples_per_query"] = settings.samples_per_query
        case "Server":
            asked["server_target_qps"] = settings.target_qps
            asked["server_target_latency_ns"] = settings.latency_bound_ns
        case "Offline":
            asked["offline_expected_qps"] = settings.expected_qps
    return {name: value for name, value in asked.items() if value is not None}


def user_conf(settings: Settings) -> str:
    """The settings as a `user.conf`, which a submission holds; times are milliseconds there."""
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
    """What LoadGen says in its log that it did otherwise than asked, each in words; empty when all is as meant.

    A compliance test changes settings by its `audit.config`, so the mode is not looked at there.

    Args:
        settings: as `run` got them.
        log_dir: holds the detail log.
        total: samples in the data set.

    Raises:
        OSError: there is no log.
    """
    values = loadgen_log.read(log_dir).values
    meant: dict[str, Any] = {
        "effective_scenario": settings.scenario,
        "effective_min_duration_ms": round(settings.min_duration_s * 1000),
        "effective_performance_sample_count": settings.performance_samples,
        "effective_accuracy_sample_count": total,
        "qsl_reported_total_count": total,
        **{f"requested_{name}": value for name, value in attributes(settings).items()},
    }
    if settings.audit_config is None:
        meant["effective_test_mode"] = {"performance": "PerformanceOnly", "accuracy": "AccuracyOnly"}[settings.mode]
    return tuple(
        f"LoadGen's {name} is {values.get(name)!r}, {value!r} was asked for"
        for name, value in meant.items()
        if not _same(values.get(name), value)
    )


def _same(logged: Any, meant: Any) -> bool:
    """Whether two values are one; LoadGen writes with six digits what it keeps as a double, times in ns too."""
    if not (isinstance(logged, int | float) and isinstance(meant, int | float)):
        return bool(logged == meant)
    tolerance = 1e-5 * abs(meant) if isinstance(logged, float) or isinstance(meant, float) else 0.0
    return abs(logged - meant) <= tolerance
