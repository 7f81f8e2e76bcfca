"""What LoadGen makes before it starts to measure: every query of the run, so the memory that a run needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfperf.errors import UsageError
from tfperf.inference.job import Settings

# Resident memory before the first query over the number of queries, with mlcommons-loadgen 6.0.17: 368 bytes in
# SingleStream, 648 in MultiStream with 8 samples, 318 in Server; a sample of Offline takes up to 495 with its numbers.
_QUERY_BYTES = 330
_SAMPLE_BYTES = 40
_OFFLINE_SAMPLE_BYTES = 495

# The queries may take this share of the memory that is available.
_SHARE = 0.25

# LoadGen makes twice the queries that fill the least duration at the expected latency, and a run that uses them up
# is INVALID. With half of the lowest time that was measured a run may be four times as fast.
# No query takes less than LoadGen and its binding do: 1.6 us were measured with a SUT that does nothing.
_LATENCY_MARGIN = 0.5
_LEAST_LATENCY_MARGIN = 0.1
_FEW_BYTES = 64e6  # of queries made beforehand
_LEAST_LATENCY_NS = 1000.0
_RATE_MARGIN = 1.1
_LEAST_SAMPLE_NS = 500.0  # in Offline, for completing it: 1.8 million samples/s were the most
_STREAMS_FACTOR = 2
_OFFLINE_FACTOR = 1.1

# The model's time alone tells the rate of Offline unless the SUT was much slower in its rehearsal, which is short and
# may have been disturbed: a run of too few samples is INVALID, one of too many takes longer.
_SUT_MUCH_SLOWER = 3.0
_SUT_MARGIN = 1.5


def fitted(
    settings: Settings,
    *,
    execution_ns: Mapping[int, float],
    available_bytes: int | None,
    instances: int = 1,
    sut_rate: float | None = None,
) -> tuple[Settings, tuple[str, ...]]:
    """The settings with what LoadGen has to expect, from the warm-up where it was not given, within memory.

    Args:
        settings: as asked.
        execution_ns: median time of one execution by batch size.
        available_bytes: memory that is available; None where nobody knows, which sets no limit.
        instances: of the model that run at the same time.
        sut_rate: samples a second in the rehearsal of Offline; None when there was none.

    Returns:
        The settings, and a note in words for each expectation that memory or the rehearsal lowered.

    Raises:
        UsageError: a rate in Server whose queries do not fit into memory.
    """
    check_rate(settings, available_bytes=available_bytes)
    expected, notes = _expecting(settings, execution_ns, instances, sut_rate)
    if available_bytes is None or bytes_needed(expected) <= _SHARE * available_bytes:
        return expected, notes
    capped, limits = _capped(expected, _SHARE * available_bytes)
    return capped, (*notes, *limits)


def check_rate(settings: Settings, *, available_bytes: int | None) -> None:
    """Refuses a Server run that could not hold its queries.

    Raises:
        UsageError: with the rate, the duration and the memory that they take.
    """
    if settings.scenario != "Server" or settings.mode == "accuracy" or available_bytes is None:
        return
    needed = bytes_needed(settings)
    if needed > _SHARE * available_bytes:
        raise UsageError(
            f"A rate beyond memory: LoadGen makes all queries of a Server run beforehand, and {settings.target_qps:g} "
            f"queries/s for {settings.min_duration_s:g} s take {_gigabytes(needed)}; {_gigabytes(available_bytes)} are "
            f"available, of which queries may take {_SHARE:.0%}. Set a lower target_qps or a shorter min_duration_s."
        )


def bytes_needed(settings: Settings) -> float:
    """The memory of the queries that LoadGen makes before a run; 0 where it expects nothing yet."""
    if settings.mode == "accuracy":
        return 0.0
    least = settings.min_queries or 0
    if settings.scenario == "Offline":
        expected = _OFFLINE_FACTOR * settings.min_duration_s * (settings.expected_qps or 0.0)
        return max(least, expected) * _OFFLINE_SAMPLE_BYTES
    if settings.scenario == "Server":
        return max(least, settings.min_duration_s * (settings.target_qps or 0.0)) * _query_bytes(settings)
    latency_ns = settings.expected_latency_ns
    expected = _STREAMS_FACTOR * settings.min_duration_s * 1e9 / latency_ns if latency_ns else 0.0
    return max(least, expected) * _query_bytes(settings)


def _expecting(
    settings: Settings, execution_ns: Mapping[int, float], instances: int, sut_rate: float | None
) -> tuple[Settings, tuple[str, ...]]:
    if settings.scenario == "Offline" and settings.expected_qps is None:
        rate, notes = _offline_rate(execution_ns, instances, sut_rate)
        return dataclasses.replace(settings, expected_qps=rate), notes
    if settings.scenario in ("SingleStream", "MultiStream") and settings.expected_latency_ns is None:
        latency_ns = max(_LEAST_LATENCY_NS, _expected_latency_ns(settings, lowest_ns=min(execution_ns.values())))
        return dataclasses.replace(settings, expected_latency_ns=latency_ns), ()
    return settings, ()


def _expected_latency_ns(settings: Settings, *, lowest_ns: float) -> float:
    """Half of what was seen, or down to a tenth as long as the queries stay few.

    A warm-up beside a busy neighbour sees latencies that the measurement then falls far below.
    """
    of_few_ns = _STREAMS_FACTOR * settings.min_duration_s * 1e9 * _query_bytes(settings) / _FEW_BYTES
    return min(_LATENCY_MARGIN * lowest_ns, max(_LEAST_LATENCY_MARGIN * lowest_ns, of_few_ns))


def _offline_rate(
    execution_ns: Mapping[int, float], instances: int, sut_rate: float | None
) -> tuple[float, tuple[str, ...]]:
    sample_ns = min(time_ns / size for size, time_ns in execution_ns.items()) / instances + _LEAST_SAMPLE_NS
    rate = _RATE_MARGIN * 1e9 / sample_ns
    if sut_rate is None or rate <= _SUT_MUCH_SLOWER * sut_rate:
        return rate, ()
    note = (
        f"the model alone would answer up to {rate:,.0f} samples/s, with all around it {sut_rate:,.0f} were seen "
        f"before the run: one of more than {_OFFLINE_FACTOR * _SUT_MARGIN * sut_rate:,.0f} ends before min_duration_s "
        "and is INVALID"
    )
    return _SUT_MARGIN * sut_rate, (note,)


def _capped(settings: Settings, budget_bytes: float) -> tuple[Settings, tuple[str, ...]]:
    """The settings with fewer queries made beforehand, and what that means for the run."""
    allowed = f"LoadGen's queries may take {_gigabytes(budget_bytes)} of memory, {_SHARE:.0%} of what is available"
    if settings.scenario == "Offline":
        rate = budget_bytes / _OFFLINE_SAMPLE_BYTES / (_OFFLINE_FACTOR * settings.min_duration_s)
        note = f"{allowed}: a rate of more than {rate:,.0f} samples/s ends before min_duration_s and is INVALID"
        return dataclasses.replace(settings, expected_qps=rate), (note,)
    queries = budget_bytes / _query_bytes(settings)
    latency_ns = _STREAMS_FACTOR * settings.min_duration_s * 1e9 / queries
    least_us = latency_ns / _STREAMS_FACTOR / 1e3
    note = f"{allowed}: a mean latency of less than {least_us:,.3g} us uses them up and is INVALID"
    return dataclasses.replace(settings, expected_latency_ns=latency_ns), (note,)


def _query_bytes(settings: Settings) -> int:
    return _QUERY_BYTES + _SAMPLE_BYTES * (settings.samples_per_query if settings.scenario == "MultiStream" else 1)


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:,.1f} GB"
