"""What LoadGen's logs of an inference run must show to support its result.

A violation with the source `submission_checker` fails a log in MLCommons' checker, too (mlcommons/inference,
`tools/submission/submission_checker/checks` at v6.1). That checker ignores the others.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator

from tfperf.compliance import rounds
from tfperf.compliance.verdict import About, Violation
from tfperf.loadgen_log import LoadgenLog

_STAMP = "%m-%d-%Y %H:%M:%S.%f"
_EARLY_STOPPING = ("SingleStream", "MultiStream", "Server")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """What the logs of a run must show.

    Attributes:
        scenario: LoadGen's name for it.
        min_duration_s: the shortest accepted measurement.
        performance_samples: the smallest accepted number of samples in memory.
        eval_samples: samples of the whole evaluation set; None if unspecified.
        offline_samples: the smallest accepted number of samples in an Offline query.
        latency_bound_ns: the largest accepted latency bound of Server; None if unspecified.
        round: whose seeds it must have.
    """

    scenario: str
    min_duration_s: float
    performance_samples: int
    eval_samples: int | None = None
    offline_samples: int = 0
    latency_bound_ns: float | None = None
    round: rounds.Round = rounds.CURRENT


def minutes(log: LoadgenLog) -> float | None:
    """Minutes from the first query to the last answer, from LoadGen's stamps for the power measurement."""
    try:
        begin, end = (
            datetime.datetime.strptime(str(log.values.get(key)), _STAMP) for key in ("power_begin", "power_end")
        )
    except ValueError:
        return None
    return (end - begin).total_seconds() / 60


def ended(log: LoadgenLog | None, *, name: str) -> Iterator[Violation]:
    """Violations of a run that was cut off."""
    if log is None:
        yield _official(f"There is no log of the {name} run.", about="structure")
    elif not log.ended:
        text = f"The log of the {name} run is incomplete: the run was cut off or is still in progress."
        yield _official(text, about="structure")


def performance(log: LoadgenLog, expected: Expected, *, name: str = "performance") -> Iterator[Violation]:
    """Violations of a performance run.

    Args:
        log: the detail log of a run that ended.
        expected: what the log must show.
        name: the run's name in messages.
    """
    yield from _invalid(log, name=name)
    yield from _errors(log, name=name)
    yield from _mode(log, expected, mode="PerformanceOnly", name=name)
    yield from _seeds(log, expected, name=name)
    yield from _amounts(log, expected, name=name)
    yield from _early_stopping(log, expected, name=name)


def accuracy(log: LoadgenLog, expected: Expected) -> Iterator[Violation]:
    """Violations of an accuracy run, by its detail log."""
    for error in dict.fromkeys(log.errors):
        yield _official(f"LoadGen reports an error in the accuracy run: {error}.")
    yield from _mode(log, expected, mode="AccuracyOnly", name="accuracy")
    count = log.values.get("effective_accuracy_sample_count")
    if expected.eval_samples is not None and count != expected.eval_samples:
        text = f"The accuracy run covers {count} samples; the evaluation set has {expected.eval_samples}."
        yield _official(text, key="effective_accuracy_sample_count")


def ordinary(log: LoadgenLog) -> Iterator[Violation]:
    """Violations of a performance run under the `audit.config` of a compliance test."""
    values = log.values
    for key in ("effective_performance_issue_same", "effective_performance_issue_unique"):
        if values.get(key):
            yield Violation(message=f"The samples of the performance run were not drawn at random: {key}.", key=key)
    if values.get("effective_accuracy_log_sampling_target"):
        key = "effective_accuracy_log_sampling_target"
        yield Violation(message="The performance run is a run of TEST01: its responses were sampled.", key=key)


def under_test(log: LoadgenLog, *, name: str) -> Iterator[Violation]:
    """Violations of a compliance test whose `audit.config` LoadGen did not read."""
    keys = {"TEST01": "effective_accuracy_log_sampling_target", "TEST04": "effective_performance_issue_same"}
    if not log.values.get(keys[name]):
        yield Violation(message=f"{name} was run without its audit.config: {keys[name]} is not set.", key=keys[name])


def _invalid(log: LoadgenLog, *, name: str) -> Iterator[Violation]:
    values = log.values
    validity = values.get("result_validity")
    if validity == "VALID":
        return
    reason = " ".join(str(values.get("result_invalid_reason") or values.get("early_stopping_result") or "").split())
    because = f": {reason}" if reason else "."
    text = f"LoadGen calls the {name} run {validity}{because}"
    yield Violation(message=text, key="result_validity", about="target")


def _errors(log: LoadgenLog, *, name: str) -> Iterator[Violation]:
    for error in dict.fromkeys(log.errors):
        yield Violation(message=f"LoadGen reports an error in the {name} run: {error}.")


def _mode(log: LoadgenLog, expected: Expected, *, mode: str, name: str) -> Iterator[Violation]:
    for key, right in (("effective_test_mode", mode), ("effective_scenario", expected.scenario)):
        if log.values.get(key) != right:
            yield Violation(message=f"{key} of the {name} run is {log.values.get(key)}; it must be {right}.", key=key)


def _seeds(log: LoadgenLog, expected: Expected, *, name: str) -> Iterator[Violation]:
    found = rounds.of_log(log.values)
    if found != expected.round:
        whose = f"those of {found.name}" if found else "not those of any round"
        text = f"The seeds of the {name} run are {whose}; {rounds.described(expected.round)}."
        yield _official(text, key="effective_qsl_rng_seed")


def _amounts(log: LoadgenLog, expected: Expected, *, name: str) -> Iterator[Violation]:
    minima = [
        ("effective_min_duration_ms", expected.min_duration_s * 1000),
        ("effective_performance_sample_count", expected.performance_samples),
    ]
    if expected.scenario == "Offline":
        minima.append(("effective_samples_per_query", expected.offline_samples))
    for key, least in minima:
        value = log.values.get(key)
        if not isinstance(value, (int, float)) or value < least:
            yield _official(f"{key} of the {name} run is {value}; the minimum is {least:g}.", key=key)
    measured = minutes(log)
    if measured is not None and measured * 60 < expected.min_duration_s and expected.scenario != "Server":
        text = f"The {name} run measured {measured * 60:.1f} s; the minimum is {expected.min_duration_s:g} s."
        yield Violation(message=text, key="power_end")


def _early_stopping(log: LoadgenLog, expected: Expected, *, name: str) -> Iterator[Violation]:
    if expected.scenario in _EARLY_STOPPING and not log.values.get("early_stopping_met"):
        text = f"The {name} run does not meet the early stopping criterion: too few queries, or too many late ones."
        yield _official(text, key="early_stopping_met", about="target")
    bound, used = expected.latency_bound_ns, log.values.get("effective_target_latency_ns")
    if expected.scenario == "Server" and bound is not None and not (isinstance(used, (int, float)) and used <= bound):
        text = f"The {name} run had a latency bound of {used} ns; the accepted bound is {bound:g} ns."
        yield _official(text, key="effective_target_latency_ns")


def _official(message: str, *, key: str | None = None, about: About = "rules") -> Violation:
    return Violation(message=message, key=key, source="submission_checker", about=about)
