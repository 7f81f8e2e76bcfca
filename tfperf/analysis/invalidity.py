"""Why LoadGen calls a run INVALID, in plain words, and what to change.

LoadGen says it in scattered keys: `result_invalid_reason` is empty where only early stopping failed, its advice speaks
of its own settings, and a run that ended early gets three contradictory pieces of it. The keys are those of
`PerformanceSummary::LogDetail` in loadgen/results.cc of mlcommons/inference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import loadgen_log
from tfperf.analysis import early_stopping

NOTABLE_OTHER_CPU = 0.05

_NS_IN_MS = 1e6
# Of the errors in loadgen/issue_query_controller.cc and loadgen/loadgen.cc.
_RAN_OUT = "Ran out of generated queries"
_REFUSED = "Ending early: Max"
_AGAIN = "The warm-up expected too little, as when something else used the machine meanwhile; run again."
# A Server run that answers less than this part of what was asked of it is at its limit, not only late.
_KEEPS_UP = 0.98


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What was measured beside LoadGen; None where it is not known.

    Attributes:
        one_sample_ns: the model's time for a batch of one.
        other_cpu_share: of the machine's processor time, what other processes took during the run, 0 to 1.
    """

    one_sample_ns: float | None = None
    other_cpu_share: float | None = None


def explain(log: loadgen_log.LoadgenLog, *, facts: Facts) -> tuple[str, ...]:
    """The reasons, the one that explains the others first; empty for a valid run without errors.

    Args:
        log: of a performance or an accuracy run.
        facts: what was measured beside it.
    """
    if not log.ended:
        return (*_errors(log), "LoadGen did not come to its end, so what it logged is no result.")
    reasons = [*_missed(log, facts=facts), *_errors(log)]
    if not reasons and log.values.get("result_validity") == "INVALID":
        reasons.append(f"LoadGen says INVALID: {log.values.get('result_invalid_reason') or 'and no reason'}.")
    if reasons and (facts.other_cpu_share or 0.0) > NOTABLE_OTHER_CPU:
        reasons.append(other_cpu(facts.other_cpu_share or 0.0))
    return tuple(reasons)


def _missed(log: loadgen_log.LoadgenLog, *, facts: Facts) -> list[str]:
    """What LoadGen's conditions say, where one of them failed."""
    reasons = [_too_late(log.values, facts=facts)] if _failed(log, "result_perf_constraints_met") else []
    if not _any(log.errors, _REFUSED):
        reasons += [_too_fast(log.values)] if _failed(log, "result_min_duration_met") else []
        reasons += [_too_few(log.values)] if _failed(log, "result_min_queries_met") else []
    if not reasons and _failed(log, "early_stopping_met"):
        reasons = [_unsure(log.values)]
    return reasons


def other_cpu(share: float) -> str:
    """What to tell of other processes, a sentence.

    Args:
        share: of the machine's processor time, what they took, 0 to 1.
    """
    return (
        f"Other processes took {share:.0%} of the processors meanwhile: the highest latencies tell of them as much as "
        "of this system. Measure on a machine with nothing else to do."
    )


def _too_late(values: Mapping[str, Any], *, facts: Facts) -> str:
    bound_ns, queries = float(values["effective_target_latency_ns"]), int(values["result_query_count"])
    late, percentile = int(values["result_overlatency_query_count"]), _percentile(values)
    said = (
        f"{late:,} of {queries:,} queries took longer than the bound of {_ms(bound_ns)}; the rules allow "
        f"{100 - percentile:g} %.{_observed(values, percentile)}"
    )
    return f"{said} {_what_to_do(values, bound_ns=bound_ns, facts=facts)}"


def _what_to_do(values: Mapping[str, Any], *, bound_ns: float, facts: Facts) -> str:
    alone_ns = facts.one_sample_ns
    if alone_ns is not None and alone_ns >= bound_ns:
        return (
            f"One sample alone takes the model {_ms(alone_ns)}, so no rate can keep this bound on this machine. "
            "Serve a faster executable or, in an open or internal run, raise latency_bound_ms."
        )
    asked, answered = float(values["effective_target_qps"]), float(values["result_completed_samples_per_sec"])
    if answered < _KEEPS_UP * float(values["result_scheduled_samples_per_sec"]):
        return (
            f"It answered {answered:,.4g} samples/s where {asked:,.4g} were asked, so the queue grew all the time. "
            f"Ask for a target_qps below {answered:,.4g}, or let `auto` find it."
        )
    return f"It keeps up with {asked:,.4g} samples/s but not in time. Lower target_qps, or let `auto` find it."


def _too_fast(values: Mapping[str, Any]) -> str:
    duration_s = float(values["effective_min_duration_ms"]) / 1e3
    said = f"The run ended before its {duration_s:,.4g} s were over: LoadGen makes all queries beforehand and "
    if values["effective_scenario"] == "Offline":
        return (
            f"{said}made {int(values['generated_samples_per_query']):,} samples for an expected "
            f"{float(values['effective_target_qps']):,.4g} samples/s, and the system answered "
            f"{float(values['result_samples_per_second']):,.4g}. {_AGAIN}"
        )
    made = f"made {int(values['generated_query_count']):,} of them"
    if values["effective_scenario"] == "Server":
        return f"{said}{made} for {float(values['effective_target_qps']):,.4g} samples/s. Raise target_qps."
    expected_ns = 1e9 / float(values["effective_target_qps"])
    mean_ns = float(values.get("result_mean_query_latency_ns", values["result_mean_latency_ns"]))
    return (
        f"{said}{made} for an expected latency of {_ms(expected_ns)}, and the system took {_ms(mean_ns)} in the mean. "
        f"{_AGAIN}"
    )


def _too_few(values: Mapping[str, Any]) -> str:
    if values["effective_scenario"] == "Offline":
        return f"Fewer samples were asked than the {int(values['effective_min_sample_count']):,} of min_queries."
    return (
        f"{int(values['result_query_count']):,} queries were asked, min_queries is "
        f"{int(values['effective_min_query_count']):,}. Lower min_queries, where the rules allow it, or find in the "
        "other reasons why the run ended early."
    )


def _unsure(values: Mapping[str, Any]) -> str:
    """Early stopping, which LoadGen leaves out of its reasons."""
    queries, percentile = int(values["result_query_count"]), _percentile(values)
    server = values["effective_scenario"] == "Server"
    late = int(values["result_overlatency_query_count"]) if server else 1
    needed = early_stopping.least_queries(percentile, late=late)
    those = f" when {late:,} are late" if server and late else ""
    close = " Run longer, or at a lower rate." if server else " Run longer: raise min_duration_s or min_queries."
    return (
        f"{queries:,} queries are too few to know the {percentile:g}th percentile with 99 % confidence (LoadGen's "
        f"early stopping): it takes {needed:,}{those}.{close}"
    )


def _errors(log: loadgen_log.LoadgenLog) -> list[str]:
    """LoadGen's errors that no other reason explains, each kind once."""
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
    """The percentile in a sentence, where LoadGen logs this one."""
    found = values.get(f"result_{percentile:.2f}_percentile_latency_ns")
    return "" if found is None else f" The {percentile:g}th percentile was {_ms(float(found))}."


def _ms(nanoseconds: float) -> str:
    return f"{nanoseconds / _NS_IN_MS:,.4g} ms"
