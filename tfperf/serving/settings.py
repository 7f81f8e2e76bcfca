"""LoadGen's settings for a spec."""

from __future__ import annotations

from tfperf import spec as specs
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.compliance import rounds
from tfperf.inference.job import Mode, ScenarioName, Settings

_NAMES: dict[type[specs.Scenario], ScenarioName] = {
    specs.SingleStream: "SingleStream",
    specs.MultiStream: "MultiStream",
    specs.Server: "Server",
    specs.Offline: "Offline",
}
_NS_PER_MS = 1e6


def scenario_name(scenario: specs.Scenario) -> ScenarioName:
    """LoadGen's name for the scenario."""
    return _NAMES[type(scenario)]


def latency_bound_ns(spec: specs.InferSpec, task: InferenceTask) -> int:
    """The bound for 99 % of the latencies in Server."""
    scenario = spec.scenario
    if isinstance(scenario, specs.Server) and scenario.latency_bound_ms is not None:
        return round(scenario.latency_bound_ms * _NS_PER_MS)
    return task.server_latency_bound_ns


def performance_samples(spec: specs.InferSpec, task: InferenceTask, *, total: int) -> int:
    """Samples in memory during the measurement; never more than there are."""
    return min(spec.performance_samples or task.performance_samples, total)


def settings(
    spec: specs.InferSpec, task: InferenceTask, *, mode: Mode, total: int, target_qps: float | None = None
) -> Settings:
    """The settings of one run.

    Args:
        spec: the measurement.
        task: how its benchmark is served.
        mode: performance or accuracy.
        total: samples in the evaluation set.
        target_qps: the rate in Server; None in other scenarios.
    """
    scenario = spec.scenario
    return Settings(
        loadgen_model=task.loadgen_model,
        scenario=scenario_name(scenario),
        mode=mode,
        min_duration_s=spec.min_duration_s,
        min_queries=spec.min_queries,
        performance_samples=performance_samples(spec, task, total=total),
        samples_per_query=scenario.samples_per_query if isinstance(scenario, specs.MultiStream) else 8,
        target_qps=target_qps,
        latency_bound_ns=latency_bound_ns(spec, task) if isinstance(scenario, specs.Server) else None,
        seeds=None if task.last_round is None else rounds.of_task(task).seeds,
    )
