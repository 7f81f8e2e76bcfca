"""Why LoadGen calls a run INVALID, and what to change.

LoadGen spreads the answer over several keys: `result_invalid_reason` is empty when only early stopping failed, its
advice refers to its own settings, and a run that ended early gets three contradictory pieces of advice. The keys are
those of `PerformanceSummary::LogDetail` in loadgen/results.cc of mlcommons/inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import loadgen_log
from tfperf.analysis import early_stopping

NOTABLE_OTHER_CPU = 0.05

_NS_IN_MS = 1e6
# Errors in loadgen/issue_query_controller.cc and loadgen/loadgen.cc.
_RAN_OUT = "Ran out of generated queries"
_REFUSED = "Ending early: Max"
_AGAIN = "The warm-up was slower than the run, for example because another program used the machine; run again."
# A Server run that answers less than this share of the scheduled rate is at its limit, not only late.
_KEEPS_UP = 0.98
_WHOLE_FROM = 1000.0  # samples/s
_MOST_DOUBLINGS = 4  # of a run that would settle a percentile


def explain(
    log: loadgen_log.LoadgenLog, *, one_sample_ns: float | None = None, other_cpu_share: float | None = None
) -> tuple[str, ...]:
    """The reasons, the one that explains the others first; empty for a valid run without errors.

    Args:
        log: the detail log of a performance or an accuracy run.
        one_sample_ns: the model's time for a batch of one; None if unknown.
        other_cpu_share: share of the machine's processor time that other processes took during the run, 0 to 1; None
            if unknown.
    """
    if not log.ended:
        return (*_errors(log), "LoadGen did not finish, so its log is not a result.")
    reasons = [*_missed(log, one_sample_ns=one_sample_ns), *_errors(log)]
    if not reasons and log.values.get("result_validity") == "INVALID":
        reasons.append(f"LoadGen says INVALID: {log.values.get('result_invalid_reason') or 'and gives no reason'}.")
    if reasons and (other_cpu_share or 0.0) > NOTABLE_OTHER_CPU:
        reasons.append(other_cpu(other_cpu_share or 0.0))
    return tuple(reasons)


def hopeless(failure: str, *, bound_ns: float, target_qps: float, answered_per_s: float) -> str:
    """Why a Server run was ended early, and what to change.

    Args:
        failure: when it was ended, and how many queries were late.
        bound_ns: the latency bound.
        target_qps: the rate.
        answered_per_s: the samples per second that were answered.
    """
    advice = "Lower target_qps, or let `auto` find it."
    if answered_per_s < _KEEPS_UP * target_qps:
        advice = _does_not_keep_up(answered_per_s, target_qps=target_qps)
    return f"{failure[0].upper()}{failure[1:]}. The bound is {_ms(bound_ns)}. {advice}"


def other_cpu(share: float) -> str:
    """A sentence about other processes.

    Args:
        share: the share of the machine's processor time that they took, 0 to 1.
    """
    return (
        f"Other processes took {share:.0%} of the processor time during the run, so the highest latencies say as much "
        "about them as about this system. Measure on an idle machine."
    )


def _missed(log: loadgen_log.LoadgenLog, *, one_sample_ns: float | None) -> list[str]:
    """The conditions of LoadGen that failed."""
    late = _failed(log, "result_perf_constraints_met")
    reasons = [_too_late(log.values, one_sample_ns=one_sample_ns)] if late else []
    if not _any(log.errors, _REFUSED):
        reasons += [_too_fast(log.values)] if _failed(log, "result_min_duration_met") else []
        reasons += [_too_few(log.values)] if _failed(log, "result_min_queries_met") else []
    if not reasons and _failed(log, "early_stopping_met"):
        reasons = [_unsure(log.values)]
    return reasons


def _too_late(values: Mapping[str, Any], *, one_sample_ns: float | None) -> str:
    bound_ns, queries = float(values["effective_target_latency_ns"]), int(values["result_query_count"])
    late, percentile = int(values["result_overlatency_query_count"]), _percentile(values)
    return (
        f"{late:,} of {queries:,} queries took longer than the bound of {_ms(bound_ns)}; the rules allow "
        f"{100 - percentile:g} %.{_observed(values, percentile)} "
        f"{_what_to_do(values, bound_ns=bound_ns, one_sample_ns=one_sample_ns)}"
    )


def _what_to_do(values: Mapping[str, Any], *, bound_ns: float, one_sample_ns: float | None) -> str:
    if one_sample_ns is not None and one_sample_ns >= bound_ns:
        return (
            f"The model takes {_ms(one_sample_ns)} for a single sample, so no rate can meet this bound on this "
            "machine. Serve a faster executable or, in an open or internal run, raise latency_bound_ms."
        )
    target, answered = float(values["effective_target_qps"]), float(values["result_completed_samples_per_sec"])
    if answered < _KEEPS_UP * float(values["result_scheduled_samples_per_sec"]):
        return _does_not_keep_up(answered, target_qps=target)
    return f"It keeps up with {target:,.4g} samples/s, but answers too late. Lower target_qps, or let `auto` find it."


def _does_not_keep_up(answered_per_s: float, *, target_qps: float) -> str:
    return (
        f"It answered {_rate(answered_per_s)} samples/s and {_rate(target_qps)} arrived, so the queue kept growing. "
        f"Set a target_qps below {_rate(answered_per_s)}, or let `auto` find it."
    )


def _too_fast(values: Mapping[str, Any]) -> str:
    duration_s = float(values["effective_min_duration_ms"]) / 1e3
    start = f"The run ended before its {duration_s:,.4g} s were over: LoadGen generates all queries in advance. It "
    if values["effective_scenario"] == "Offline":
        return (
            f"{start}generated {int(values['generated_samples_per_query']):,} samples for an expected "
            f"{float(values['effective_target_qps']):,.4g} samples/s, and the system answered "
            f"{float(values['result_samples_per_second']):,.4g}. {_AGAIN}"
        )
    made = f"generated {int(values['generated_query_count']):,} queries"
    if values["effective_scenario"] == "Server":
        return f"{start}{made} for {float(values['effective_target_qps']):,.4g} samples/s. Raise target_qps."
    expected_ns = 1e9 / float(values["effective_target_qps"])
    mean_ns = float(values.get("result_mean_query_latency_ns", values["result_mean_latency_ns"]))
    return f"{start}{made} for an expected latency of {_ms(expected_ns)}, and the mean was {_ms(mean_ns)}. {_AGAIN}"


def _too_few(values: Mapping[str, Any]) -> str:
    if values["effective_scenario"] == "Offline":
        return f"The run had fewer samples than the {int(values['effective_min_sample_count']):,} of min_queries."
    queries, least = int(values["result_query_count"]), int(values["effective_min_query_count"])
    return (
        f"The run had {queries:,} of the {least:,} queries of min_queries. Lower min_queries, where the rules allow "
        "it, or see the other reasons for why the run ended early."
    )


def _unsure(values: Mapping[str, Any]) -> str:
    """Early stopping, which is missing in LoadGen's reasons."""
    queries, percentile = int(values["result_query_count"]), _percentile(values)
    server = values["effective_scenario"] == "Server"
    late = int(values["result_overlatency_query_count"]) if server else 1
    needed = early_stopping.least_queries(percentile, late=late)
    with_late = f", with {late:,} late," if server and late else ""
    return (
        f"The run had {queries:,} of the {needed:,} queries that it takes{with_late} to know the {percentile:g}th "
        f"percentile with 99 % confidence (LoadGen's early stopping). "
        f"{_how_to_be_sure(queries, percentile=percentile, late=late if server else 0)}"
    )


def _how_to_be_sure(queries: int, *, percentile: float, late: int) -> str:
    """What to change so that early stopping is met: more queries, and a lower rate only if queries are late."""
    longer = "Run longer: raise min_duration_s or min_queries."
    if not late:
        return longer
    for more in range(1, _MOST_DOUBLINGS + 1):
        many = queries * 2**more
        if early_stopping.passes(queries=many, late=late * 2**more, percentile=percentile):
            return f"{longer[:-1]}; with as large a share of late ones, {many:,} queries are enough."
    return (
        f"So many late ones are too close to the {100 - percentile:g} % that the rules allow: lower target_qps, and "
        "keep the number of queries with min_queries."
    )


def _errors(log: loadgen_log.LoadgenLog) -> list[str]:
    """LoadGen's errors that no other reason explains, each once with its count."""
    others = [error for error in log.errors if not (log.ended and _any([error], _RAN_OUT))]
    counted = [(error, others.count(error)) for error in dict.fromkeys(others)]
    return [f"LoadGen logged an error{f' {count:,} times' if count > 1 else ''}: {error}" for error, count in counted]


def _any(texts: Sequence[str], *parts: str) -> bool:
    return any(part in text for text in texts for part in parts)


def _failed(log: loadgen_log.LoadgenLog, key: str) -> bool:
    return log.values.get(key) is False


def _percentile(values: Mapping[str, Any]) -> float:
    return round(100 * float(values["effective_target_latency_percentile"]), 6)


def _observed(values: Mapping[str, Any], percentile: float) -> str:
    """A sentence with the measured percentile, if LoadGen logs this one."""
    found = values.get(f"result_{percentile:.2f}_percentile_latency_ns")
    return "" if found is None else f" The {percentile:g}th percentile was {_ms(float(found))}."


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= _WHOLE_FROM else f"{per_s:,.4g}"


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / _NS_IN_MS:,.4g} ms"
