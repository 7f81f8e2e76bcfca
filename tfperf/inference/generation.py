"""The queries that LoadGen generates before it starts to measure: how many a run needs, and their memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfperf.errors import UsageError
from tfperf.inference.batching import most_efficient
from tfperf.inference.executable import Bucket
from tfperf.inference.job import Settings

# Resident memory before the first query, divided by the number of queries, with mlcommons-loadgen 6.0.17: 368 bytes in
# SingleStream, 648 in MultiStream with 8 samples, 318 in Server; up to 495 per sample in Offline, ids included.
_QUERY_BYTES = 330
_SAMPLE_BYTES = 40
_OFFLINE_SAMPLE_BYTES = 495

# The queries may take this share of the available memory.
_SHARE = 0.25

# LoadGen generates twice the queries that fill the shortest duration at the expected latency, and a run that uses them
# up is INVALID. With half of the lowest measured time a run may be four times as fast.
# No query takes less time than LoadGen and its binding: 1.6 us were measured with a SUT that does nothing.
_LATENCY_MARGIN = 0.5
_LEAST_LATENCY_MARGIN = 0.1
_FEW_BYTES = 64e6  # of generated queries
_LEAST_LATENCY_NS = 1000.0
_RATE_MARGIN = 1.1
_LEAST_SAMPLE_NS = 500.0  # in Offline, for completing it: 1.8 million samples/s were the most
_STREAMS_FACTOR = 2
_OFFLINE_FACTOR = 1.1

# The model's time alone predicts the Offline rate unless the SUT was much slower in its rehearsal. That is short and
# may have been disturbed: a run with too few samples is INVALID, one with too many takes longer.
_SUT_MUCH_SLOWER = 3.0
_SUT_MARGIN = 1.5


def fitted(
    settings: Settings,
    *,
    execution_ns: Mapping[Bucket, float],
    length_shares: Mapping[int | None, float] | None = None,
    available_bytes: int | None,
    instances: int = 1,
    sut_rate: float | None = None,
) -> tuple[Settings, tuple[str, ...]]:
    """Fills in the latency or rate that LoadGen expects, so that its queries fit into memory.

    Args:
        settings: the settings; an expectation that they already have is kept.
        execution_ns: median time of one execution by bucket.
        length_shares: share of the samples that run at each length; None takes equal shares.
        available_bytes: available memory; None if unknown, which sets no limit.
        instances: instances of the model that run at the same time.
        sut_rate: samples per second in the Offline rehearsal; None if there was none.

    Returns:
        The settings, and a note for each expectation that memory or the rehearsal lowered.

    Raises:
        UsageError: the fewest queries of the run do not fit into memory, see `check_memory`.
    """
    check_memory(settings, available_bytes=available_bytes)
    per_s = instances * offline_samples_per_s(execution_ns, length_shares)
    expected, notes = _expecting(settings, per_s, min(execution_ns.values()), sut_rate)
    if available_bytes is None or bytes_needed(expected) <= _SHARE * available_bytes:
        return expected, notes
    capped, limits = _capped(expected, _SHARE * available_bytes)
    return capped, (*notes, *limits)


def offline_samples_per_s(
    execution_ns: Mapping[Bucket, float], length_shares: Mapping[int | None, float] | None = None
) -> float:
    """Samples per second of one instance, each length in its most efficient batches.

    Args:
        execution_ns: time of one execution by bucket.
        length_shares: share of the samples that run at each length; None takes equal shares.
    """
    best = most_efficient(execution_ns)
    shares = {length: 1 / len(best) for length in best} if length_shares is None else length_shares
    sample_ns = sum(shares.get(length, 0.0) * execution_ns[bucket] / bucket.batch for length, bucket in best.items())
    return 1e9 / sample_ns


def check_memory(settings: Settings, *, available_bytes: int | None) -> None:
    """Refuses a run whose fewest queries would not fit into memory: all of a Server run, `min_queries` of another.

    Raises:
        UsageError: gives what was asked for and the memory that it takes.
    """
    if settings.mode == "accuracy" or available_bytes is None:
        return
    server = settings.scenario == "Server"
    fewest = settings if server else dataclasses.replace(settings, expected_qps=None, expected_latency_ns=None)
    needed = bytes_needed(fewest)
    if needed <= _SHARE * available_bytes:
        return
    by_rate = server and (settings.target_qps or 0.0) * settings.min_duration_s > (settings.min_queries or 0)
    if by_rate:
        asked = f"{settings.target_qps:g} queries/s for {settings.min_duration_s:g} s"
        remedy = "a lower target_qps or a shorter min_duration_s"
    else:
        asked, remedy = f"min_queries={settings.min_queries}", "a lower min_queries"
    raise UsageError(
        f"{'The rate needs' if by_rate else 'The queries need'} too much memory: LoadGen generates all queries of a "
        f"run in advance, and {asked} take {_gigabytes(needed)}; {_gigabytes(available_bytes)} are available, of which "
        f"queries may take {_SHARE:.0%}. Set {remedy}."
    )


def bytes_needed(settings: Settings) -> float:
    """The memory of the queries that LoadGen generates before a run; 0 if the settings have no expectation yet."""
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
    settings: Settings, offline_per_s: float, lowest_ns: float, sut_rate: float | None
) -> tuple[Settings, tuple[str, ...]]:
    if settings.scenario == "Offline" and settings.expected_qps is None:
        rate, notes = _offline_rate(offline_per_s, sut_rate)
        return dataclasses.replace(settings, expected_qps=rate), notes
    if settings.scenario in ("SingleStream", "MultiStream") and settings.expected_latency_ns is None:
        latency_ns = max(_LEAST_LATENCY_NS, _expected_latency_ns(settings, lowest_ns=lowest_ns))
        return dataclasses.replace(settings, expected_latency_ns=latency_ns), ()
    return settings, ()


def _expected_latency_ns(settings: Settings, *, lowest_ns: float) -> float:
    """Half of the lowest latency, or as little as a tenth of it as long as there are few queries.

    When other programs were busy during the warm-up, its latencies are far above those of the measurement.
    """
    of_few_ns = _STREAMS_FACTOR * settings.min_duration_s * 1e9 * _query_bytes(settings) / _FEW_BYTES
    return min(_LATENCY_MARGIN * lowest_ns, max(_LEAST_LATENCY_MARGIN * lowest_ns, of_few_ns))


def _offline_rate(samples_per_s: float, sut_rate: float | None) -> tuple[float, tuple[str, ...]]:
    sample_ns = 1e9 / samples_per_s + _LEAST_SAMPLE_NS
    rate = _RATE_MARGIN * 1e9 / sample_ns
    if sut_rate is None or rate <= _SUT_MUCH_SLOWER * sut_rate:
        return rate, ()
    note = (
        f"the model alone would answer up to {rate:,.0f} samples/s, but tfperf around it answered {sut_rate:,.0f} "
        f"samples/s in a test before the run: a run of more than {_OFFLINE_FACTOR * _SUT_MARGIN * sut_rate:,.0f} "
        "samples/s ends before min_duration_s and is INVALID"
    )
    return _SUT_MARGIN * sut_rate, (note,)


def _capped(settings: Settings, budget_bytes: float) -> tuple[Settings, tuple[str, ...]]:
    """The settings with fewer generated queries, and a note on what that means for the run."""
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
