"""The numbers beside LoadGen's in a result, with the names that tables and charts show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfperf import result
from tfperf.analysis import breakdown, invalidity, steady_state, timeline
from tfperf.analysis.recorded import Recorded

_MS, _US, _MIB = 1e6, 1e3, 2**20
_ONE_QUERY_AT_A_TIME = ("SingleStream", "MultiStream")


def measurements(
    recorded: Recorded,
    *,
    scenario: str,
    instances: int = 1,
    loadgen_mean_ns: float | None,
    memory_start_bytes: int | None = None,
    memory_end_bytes: int | None = None,
    other_cpu_share: float | None = None,
) -> tuple[result.Measurement, ...]:
    """The numbers from the recording of a performance run. Numbers that are unknown or meaningless are left out.

    Args:
        recorded: what the SUT recorded.
        scenario: LoadGen's name for it.
        instances: how many instances of the model ran at the same time.
        loadgen_mean_ns: mean latency of the queries, see `breakdown.harness_ns`; None if the run did not end or the
            recording is incomplete.
        memory_start_bytes: resident memory of the serving process when the measurement began.
        memory_end_bytes: the same at its end.
        other_cpu_share: share of the machine's processor time that other processes took, 0 to 1.
    """
    found = [
        *_times(recorded, scenario=scenario, instances=instances),
        ("padding", 100 * breakdown.padding(recorded), "%"),
        *_overhead(recorded, scenario=scenario, loadgen_mean_ns=loadgen_mean_ns),
        ("drift", _scaled(timeline.drift(recorded), 100), "%"),
        ("memory growth", _growth_mib(memory_start_bytes, memory_end_bytes), "MiB"),
        ("other CPU", _scaled(other_cpu_share, 100), "%"),
    ]
    known = [(name, value, unit) for name, value, unit in found if value is not None]
    return tuple(result.Measurement(name=name, value=value, unit=unit) for name, value, unit in known)


def notes(recorded: Recorded, *, other_cpu_share: float | None) -> tuple[str, ...]:
    """Sentences about what makes the numbers doubtful: no steady state, and other processes.

    The thirds of a run are compared only where it is too short for the tests of `steady_state`.

    Args:
        recorded: what the SUT recorded.
        other_cpu_share: share of the machine's processor time that other processes took, 0 to 1; None if it is
            unknown, or where `invalidity.explain` already mentions it.
    """
    spaced = spacing(recorded)
    others = None if (other_cpu_share or 0.0) <= invalidity.NOTABLE_OTHER_CPU else other_cpu_share
    return (*spaced, *_unsteady(recorded), *((invalidity.other_cpu(others),) if others else ()))


def steadiness(
    recorded: Recorded, *, machine: Callable[[int], Sequence[steady_state.MachineSeries]] = lambda since_ns: ()
) -> result.Steadiness:
    """Whether the model's time for a sample stayed at one level.

    Args:
        recorded: what the SUT recorded.
        machine: clocks and temperatures from a time on the clock of the recording, which may explain a change.
    """
    relative = timeline.relative_compute(recorded) if len(recorded.compute_ns) else np.zeros(0)
    measured = relative > 0  # a clock may be too coarse for a tiny model
    ended_ns = recorded.ended_ns[measured]
    series = machine(int(ended_ns.min())) if len(ended_ns) else ()
    return steady_state.examine(steady_state.windows(ended_ns, relative[measured]), machine=series)


def _unsteady(recorded: Recorded) -> tuple[str, ...]:
    found = steadiness(recorded)
    if found.verdict == "TOO_SHORT":
        slower = timeline.drift_notice(timeline.drift(recorded))
        return (slower,) if slower else ()
    return () if found.verdict == "STEADY" else found.because


def spacing(recorded: Recorded) -> tuple[str, ...]:
    """A sentence on the numbers that come from a part of the rows; empty if the recording has them all."""
    if recorded.queries is None:
        return ()
    held = (
        f"The recording holds {_share(recorded.query_every)} of the {recorded.queries:,} queries and "
        f"{_share(recorded.execution_every)} of the executions"
    )
    exact = len(recorded.slowest_ns)
    if not exact:
        return (f"{held}, without those that were overwritten: means, intervals and curves come from these.",)
    return (
        f"{held}: means, intervals and curves come from these. The table of batches counts all executions, and "
        f"percentiles among the {exact:,} slowest queries are exact.",
    )


def _share(every: int) -> str:
    return "all" if every == 1 else f"1 in {every}"


def _times(recorded: Recorded, *, scenario: str, instances: int) -> list[tuple[str, float | None, str]]:
    found = breakdown.breakdown(recorded, instances=instances)
    if found is None:
        return []
    # In Offline every sample waits for all others by design.
    queue_ms = None if scenario == "Offline" else found.queue_ns / _MS
    return [
        ("queue", queue_ms, "ms/query"),
        ("staging", found.staging_ns / _MS, "ms/batch"),
        ("compute", found.compute_ns / _MS, "ms/batch"),
        ("model busy", 100 * found.busy, "%"),
    ]


def _overhead(
    recorded: Recorded, *, scenario: str, loadgen_mean_ns: float | None
) -> list[tuple[str, float | None, str]]:
    if loadgen_mean_ns is None or scenario == "Offline":
        return []
    lag_ns = breakdown.scheduling_lag_ns(recorded, loadgen_mean_ns=loadgen_mean_ns)
    lag = ("scheduling lag", _scaled(lag_ns, 1 / _US), "us")
    if scenario not in _ONE_QUERY_AT_A_TIME:
        return [lag]
    harness_ns = breakdown.harness_ns(recorded, loadgen_mean_ns=loadgen_mean_ns)
    return [("harness overhead", _scaled(harness_ns, 1 / _US), "us"), lag]


def _growth_mib(start_bytes: int | None, end_bytes: int | None) -> float | None:
    return None if start_bytes is None or end_bytes is None else (end_bytes - start_bytes) / _MIB


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
