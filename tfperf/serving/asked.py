"""From what the user asked for to what LoadGen is told."""

from __future__ import annotations

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.inference.job import Mode, ScenarioName, Settings

_NAMES: dict[type[spec.Scenario], ScenarioName] = {
    spec.SingleStream: "SingleStream",
    spec.MultiStream: "MultiStream",
    spec.Server: "Server",
    spec.Offline: "Offline",
}
_NS_PER_MS = 1e6


def scenario_name(scenario: spec.Scenario) -> ScenarioName:
    """LoadGen's name of the scenario."""
    return _NAMES[type(scenario)]


def latency_bound_ns(asked: spec.InferSpec, task: InferenceTask) -> int:
    """What 99 % of the Server latencies keep within."""
    scenario = asked.scenario
    if isinstance(scenario, spec.Server) and scenario.latency_bound_ms is not None:
        return round(scenario.latency_bound_ms * _NS_PER_MS)
    return task.server_latency_bound_ns


def performance_samples(asked: spec.InferSpec, task: InferenceTask, *, total: int) -> int:
    """Samples in memory during the measurement; never more than there are."""
    return min(asked.performance_samples or task.performance_samples, total)


def settings(
    asked: spec.InferSpec,
    task: InferenceTask,
    *,
    mode: Mode,
    total: int,
    target_qps: float | None = None,
    audit_config: str | None = None,
) -> Settings:
    """The settings of one run over an evaluation set of `total` samples; `target_qps` in Server only."""
    scenario = asked.scenario
    return Settings(
        loadgen_model=task.loadgen_model,
        scenario=scenario_name(scenario),
        mode=mode,
        min_duration_s=asked.min_duration_s,
        min_queries=asked.min_queries,
        performance_samples=performance_samples(asked, task, total=total),
        samples_per_query=scenario.samples_per_query if isinstance(scenario, spec.MultiStream) else 8,
        target_qps=target_qps,
        latency_bound_ns=latency_bound_ns(asked, task) if isinstance(scenario, spec.Server) else None,
        audit_config=audit_config,
    )
