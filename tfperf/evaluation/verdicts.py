"""The numbers of a load from its rows, and why they may not be quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tfperf import result
from tfperf.analysis import binomial, early_stopping, percentiles, steady_state
from tfperf.evaluation.answered import Rows
from tfperf.evaluation.issuer import Issued
from tfperf.evaluation.plans import Load

_MOST_LAG_NS = 1e6  # peers keep their schedule to a millisecond
_LATE = 0.01  # the share of the requests that may be later
_CONFIDENCE = 0.95
_LAG_SHARE = 0.05  # of P99, below which lag does not matter
_REACHED = 0.95  # the share of the offered rate that must be answered
_MOST_GROWTH_BYTES = 256 * 2**20  # the rows of a load take up to 100 MB
_MOST_RETRACED = 0.01  # the share of requests that may trace or compile


def reasons(
    phase: result.LoadPhase,
    load: Load,
    issued: Issued,
    failure: str | None,
    *,
    hang_after_s: float,
    surely_late_ns: float | None,
) -> Iterator[str]:
    """Why the numbers of a load may not be quoted.

    Args:
        phase: its numbers.
        load: what was asked for.
        issued: what was sent.
        failure: what ended it early.
        hang_after_s: how long a request may take.
        surely_late_ns: what the function of this name returns; None for a load without a schedule.
    """
    if issued.status == "failed":
        yield f"{failure}, after {phase.requests:,} answers"
        return
    if issued.status == "hung":
        yield f"a request was not answered within {hang_after_s:g} s, after {phase.requests:,} answers"
        return
    if issued.status == "interrupted":
        yield f"interrupted after {phase.requests:,} answers"
        return
    if phase.not_finite:
        yield f"{phase.not_finite:,} answers that were looked at hold NaN or an infinity"
    yield from _retraced(phase, issued)
    yield from _unreached(phase, issued)
    p99 = phase.latency_ns(99.0)
    if surely_late_ns is not None and surely_late_ns > max(_MOST_LAG_NS, _LAG_SHARE * (p99 or 0.0)):
        yield (
            f"limited by the issuer, not by the model: more than 1 % of the requests were sent over "
            f"{surely_late_ns / 1e6:.3g} ms late"
        )
    if load.bound_ns is not None:
        if p99 is None:
            yield f"P99 is unknown: {phase.requests:,} requests are too few"
        elif p99 > load.bound_ns:
            yield f"P99 is {p99 / 1e6:.4g} ms, the bound {load.bound_ns / 1e6:.4g} ms"


def _retraced(phase: result.LoadPhase, issued: Issued) -> Iterator[str]:
    inside = phase.retraced_requests
    if phase.retraces and not inside:
        yield f"the model was traced or compiled {phase.retraces} times during the load"
    elif inside > 1 + _MOST_RETRACED * issued.sent:
        yield f"the model was traced or compiled in {inside:,} of {issued.sent:,} requests"


def _unreached(phase: result.LoadPhase, issued: Issued) -> Iterator[str]:
    unanswered = issued.sent - phase.requests - phase.retraced_requests
    if unanswered > 0:
        yield f"the load was not reached: {unanswered:,} of {issued.sent:,} requests were not answered in time"
    elif phase.offered_per_s is not None and phase.requests_per_s < _REACHED * phase.offered_per_s and issued.sent > 1:
        yield (
            f"the load was not reached: {phase.requests_per_s:.4g} of {phase.offered_per_s:.4g} requests/s were "
            "answered"
        )


def notes(phase: result.LoadPhase) -> tuple[str, ...]:
    """What a reader of the numbers of a load should know."""
    found = []
    if phase.retraced_requests:
        found.append(
            f"{phase.retraced_requests:,} requests of a new shape, which may have compiled the model, are in no "
            "percentile."
        )
    if (phase.memory_growth_bytes or 0) > _MOST_GROWTH_BYTES:
        found.append(
            f"The process held {(phase.memory_growth_bytes or 0) / 1e6:,.0f} MB more at the end of the load than "
            "at its start: the model or the data may leak."
        )
    if phase.steadiness is not None and phase.steadiness.verdict not in ("STEADY", "TOO_SHORT"):
        found += phase.steadiness.because
    return tuple(found)


def metric(load: Load, rows: Rows, samples: int, found: tuple[result.Percentile, ...]) -> result.Measurement | None:
    """The number that stands for a load; None if there were too few requests."""
    if not rows.requests:
        return None
    if load.metric == "samples_per_s":
        rate = samples / rows.span_s if rows.span_s else 0.0
        return result.Measurement(name="throughput", value=rate, unit="samples/s")
    percentile = float(load.metric.removeprefix("p"))
    value = next((each.value_ns for each in found if each.percentile == percentile), None)
    return None if value is None else result.Measurement(name=f"P{percentile:g} latency", value=value, unit="ns")


def supported(rows: Rows) -> tuple[result.Percentile, ...]:
    """The percentiles that the number of requests supports."""
    sampled = rows.every > 1
    found = percentiles.percentiles(
        rows.latency_ns,
        slowest_ns=rows.slowest_ns if sampled else None,
        queries=rows.requests if sampled else None,
    )
    return tuple(each for each in found if rows.requests >= early_stopping.least_queries(each.percentile))


def steadiness(rows: Rows, *, machine: Sequence[steady_state.MachineSeries] = ()) -> result.Steadiness:
    """Whether the model's time stayed at one level.

    Args:
        rows: the requests.
        machine: clocks and temperatures of the same time, which may explain a change.
    """
    took = rows.done_ns - rows.started_ns
    measured = took > 0
    windows = steady_state.windows(rows.done_ns[measured], took[measured], retraced_ns=rows.retraced_ns)
    return steady_state.examine(windows, machine=machine)


def lag_p99_ns(rows: Rows) -> float | None:
    """How late 99 % of the requests were sent at most."""
    if not rows.requests:
        return None
    return float(np.percentile(rows.issued_ns - rows.due_ns, 99))


def surely_late_ns(rows: Rows) -> float | None:
    """The lag that more than 1 % of the requests of such a load have, with 95 % confidence; None without requests.

    A few late ones among a hundred say little about the issuer: neighbours on the machine hold up every program.
    """
    lags = rows.issued_ns - rows.due_ns
    if not len(lags):
        return None
    by_chance = binomial.quantile(_CONFIDENCE, trials=len(lags), probability=_LATE)
    return float(np.sort(lags)[max(0, len(lags) - 1 - by_chance)])
