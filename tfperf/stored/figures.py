"""The figures of a run that can be compared with those of another run."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfperf import result
from tfperf.stored import run as runs
from tfperf.stored.run import StoredRun

_MS, _MIB = 1e6, 2**20
_STREAMS = ("SingleStream", "MultiStream")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureKind:
    """A figure and how much of a change matters.

    Attributes:
        name: its name in tables and flags.
        unit: its unit.
        higher_is_better: True for rates.
        threshold: the change that matters, as a share of the baseline.
        decides: where it decides a comparison unless the user says otherwise: `training`, or scenarios of LoadGen.
    """

    name: str
    unit: str
    higher_is_better: bool
    threshold: float
    decides: tuple[str, ...]


_LATENCY = (*_STREAMS, "Server")
KINDS = (
    FigureKind(name="p50", unit="ms", higher_is_better=False, threshold=0.05, decides=()),
    FigureKind(name="p95", unit="ms", higher_is_better=False, threshold=0.10, decides=()),
    FigureKind(name="p99", unit="ms", higher_is_better=False, threshold=0.10, decides=_LATENCY),
    FigureKind(
        name="throughput", unit="samples/s", higher_is_better=True, threshold=0.05, decides=(*_LATENCY, "Offline")
    ),
    FigureKind(name="time_to_train", unit="s", higher_is_better=False, threshold=0.10, decides=("training",)),
    FigureKind(name="training_rate", unit="examples/s", higher_is_better=True, threshold=0.05, decides=("training",)),
    FigureKind(name="memory", unit="MiB", higher_is_better=False, threshold=0.10, decides=()),
)
# As LoadGen's early stopping asks for, see `analysis.early_stopping.least_queries`.
LEAST_QUERIES = {"p95": 130, "p99": 662}


def of(run: StoredRun) -> dict[str, float]:
    """Figure -> its value in this run, above 0; without those that the run does not have."""
    outcome = run.outcome
    found = _served(outcome) if isinstance(outcome, result.InferResult) else _trained(outcome)
    return {name: value for name, value in found.items() if value is not None and value > 0 and np.isfinite(value)}


def missing(run: StoredRun) -> tuple[str, ...]:
    """Sentences about percentiles that are not compared because too few queries determine them."""
    outcome = run.outcome
    if not isinstance(outcome, result.InferResult) or outcome.scenario not in _LATENCY:
        return ()
    queries = _queries(outcome)
    return tuple(
        f"{name} is n/a: {queries:,} queries of {run.path.name} are fewer than the {least} that LoadGen needs."
        for name, least in LEAST_QUERIES.items()
        if queries < least
    )


def _trained(outcome: result.TrainResult) -> dict[str, float | None]:
    return {
        "time_to_train": outcome.time_to_train_s,
        "training_rate": outcome.examples_per_s,
    }


def _served(outcome: result.InferResult) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    if outcome.scenario in _LATENCY:
        queries = _queries(outcome)
        for name in ("p50", "p95", "p99"):
            if name in outcome.latency_ns and queries >= LEAST_QUERIES.get(name, 1):
                found[name] = outcome.latency_ns[name] / _MS
    chosen = [each.memory_bytes for each in outcome.candidates if each.status == "chosen"]
    memory_bytes = chosen[0] if chosen else None
    return {
        **found,
        "throughput": _throughput(outcome),
        "memory": None if memory_bytes is None else memory_bytes / _MIB,
    }


def _queries(outcome: result.InferResult) -> int:
    count = outcome.loadgen.get("result_query_count")
    if isinstance(count, int):
        return count
    return sum(outcome.batches.values()) if outcome.scenario == "SingleStream" else 1 << 62


def _throughput(outcome: result.InferResult) -> float | None:
    """Samples in all per second in all, as LoadGen counts them. In streams its metric is a latency."""
    if outcome.scenario not in _STREAMS:
        return None if outcome.metric is None else outcome.metric.value
    queries_per_s = outcome.loadgen.get("result_qps_with_loadgen_overhead")
    samples = outcome.loadgen.get("effective_samples_per_query", 1)
    if isinstance(queries_per_s, int | float) and isinstance(samples, int | float):
        return float(queries_per_s) * float(samples)
    return None


def executions(run: StoredRun) -> tuple[np.ndarray, np.ndarray] | None:
    """Samples of each execution and when it ended in ns, [executions] each; None if the run has no recording."""
    if run.scenario is None:
        return None
    columns = runs.recording(run.path)
    try:
        return columns["samples"], columns["started_ns"] + columns["compute_ns"]
    except (KeyError, ValueError):  # an older recording without a column: the run then has no precision within
        return None
