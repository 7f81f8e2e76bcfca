"""Runs the phases of an evaluation on one combination of executable, batch size and instances."""

from __future__ import annotations

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from tfperf import result
from tfperf import spec as specs
from tfperf.analysis import early_stopping, percentiles
from tfperf.errors import FailedRequestError, TimedOutError
from tfperf.evaluation import issuer, schedule
from tfperf.evaluation.answered import Answered, Rows
from tfperf.evaluation.issuer import Issued, ModelInstance

_MOST_LAG_NS = 1e6  # peers keep their schedule to a millisecond
_LAG_SHARE = 0.05  # of P99, below which lag does not matter
_STEADY = 0.02  # by which the median latency of a warm-up may still change
_WINDOW = 20  # requests whose median is compared
_REACHED = 0.95  # the share of the offered rate that must be answered


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination that is measured.

    Attributes:
        executable: the compiled form.
        batch_size: samples in a request.
        instances: each answers one request at a time.
        traces: the number of tracings and compilations so far.
        samples: samples that were answered by then, where requests differ in size; None where they don't.
    """

    executable: str
    batch_size: int
    instances: Sequence[ModelInstance]
    traces: Callable[[], int]
    samples: Callable[[], int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Load:
    """One load of a phase.

    Attributes:
        text: what it is, for people.
        run: sends the requests.
        offered_per_s: the rate of its schedule.
        metric: what stands for it: a percentile of the latency, or samples per second.
        bound_ns: the bound for P99.
        least: requests that it needs.
    """

    text: str
    run: Callable[[Answered], Issued]
    offered_per_s: float | None = None
    metric: Literal["p90", "p99", "samples_per_s"] = "p99"
    bound_ns: float | None = None
    least: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """A load that was measured, with its rows.

    Attributes:
        phase: its numbers.
        rows: the stamps of its requests.
        failure: the exception that ended it; None if none did.
    """

    phase: result.LoadPhase
    rows: Rows
    failure: BaseException | None = None


class Loads:
    """Runs phases on a cell.

    Args:
        spec: the evaluation.
        cell: the combination.
        begin_s: the start of the evaluation, on the clock of `time.perf_counter`.
        on_look: called a few times a second with the load and the requests so far.
    """

    def __init__(
        self, spec: specs.EvaluateSpec, cell: Cell, *, begin_s: float, on_look: Callable[[str, int], None]
    ) -> None:
        self._spec, self._cell, self._begin_s, self._on_look = spec, cell, begin_s, on_look
        self._peak_per_s = 0.0
        self._request_s: float | None = None

    def run(self, phase: specs.Phase) -> Iterator[Measured]:
        """Runs the loads of a phase one after the other. A warm-up gives nothing."""
        if isinstance(phase, specs.WarmUp):
            self._warm_up(phase)
            return
        name = str(getattr(type(phase), "KEY", type(phase).__name__.lower()))
        for load in self._loads(phase):
            yield self._measured(name, load)

    def _warm_up(self, phase: specs.WarmUp) -> None:
        """Runs the requests of a warm-up.

        Raises:
            FailedRequestError: one failed.
            TimedOutError: one hung.
        """
        end = time.perf_counter() + phase.most_s
        times: list[float] = []
        wanted = phase.iterations * len(self._cell.instances)
        while wanted or (phase.until_steady and not _settled(times) and time.perf_counter() < end):
            times += self._warm(wanted or _WINDOW)
            wanted = 0
        if times:
            self._request_s = statistics.median(times[-_WINDOW:])

    def _warm(self, requests: int) -> list[float]:
        """The seconds that requests took which are not counted."""
        answered = Answered()
        issued = issuer.in_streams(
            len(self._cell.instances),
            self._cell.instances,
            answered,
            duration_s=0.0,
            least=requests,
            hang_after_s=self._spec.hang_after_s,
            on_look=lambda: self._on_look("warm-up", answered.counted),
        )
        answered.read(ended=True)
        if issued.status == "interrupted":
            raise KeyboardInterrupt
        if issued.status == "hung":
            raise TimedOutError(f"A request of the warm-up was not answered within {self._spec.hang_after_s:g} s.")
        if issued.status == "failed":
            error = answered.failure
            words = " ".join(str(error).split())[:300]
            raise FailedRequestError(f"A request of the warm-up failed: {type(error).__name__}: {words}") from error
        rows = answered.rows()
        return [float(taken) / 1e9 for taken in rows.done_ns - rows.started_ns]

    def _expected_s(self) -> float:
        """The time of one request."""
        if self._request_s is None:
            self._warm_up(specs.WarmUp(iterations=3))
        return self._request_s or 1e-6

    def _loads(self, phase: specs.Phase) -> Iterator[_Load]:
        seed = self._spec.seed
        match phase:
            case specs.SingleStreamLoad():
                run = self._streams(1, phase.min_duration_s, least=phase.min_queries)
                yield _Load(text="1 stream", run=run, metric="p90", least=phase.min_queries)
            case specs.MultiStreamLoad():
                # The samples of a query are answered together: the batch size is that of the query.
                run = self._streams(1, phase.min_duration_s, least=phase.min_queries)
                yield _Load(text=f"queries of {self._cell.batch_size}", run=run, least=phase.min_queries)
            case specs.ServerLoad():
                due = schedule.poisson(phase.target_qps, phase.min_duration_s, seed=seed, least=phase.min_queries)
                yield _Load(
                    text=f"{phase.target_qps:g} requests/s",
                    run=self._scheduled(due, phase.min_duration_s),
                    offered_per_s=phase.target_qps,
                    bound_ns=phase.latency_bound_ms * 1e6,
                    least=phase.min_queries,
                )
            case specs.OfflineLoad():
                count = max(1, int(phase.min_duration_s * len(self._cell.instances) / self._expected_s()))
                parts = (np.zeros(min(schedule.PART, count - start)) for start in range(0, count, schedule.PART))
                yield _Load(
                    text=f"{count:,} requests at once",
                    run=self._scheduled(parts, 4 * phase.min_duration_s, all_at_once=True),
                    metric="samples_per_s",
                )
            case specs.Concurrency():
                for streams in phase.streams:
                    yield _Load(
                        text=f"{streams} stream{'s' if streams > 1 else ''}",
                        run=self._streams(streams, phase.duration_s),
                    )
            case specs.ConstantRate():
                for rate in phase.requests_per_s:
                    due = (
                        schedule.poisson(rate, phase.duration_s, seed=seed)
                        if phase.poisson
                        else schedule.constant(rate, phase.duration_s)
                    )
                    run = self._scheduled(due, phase.duration_s)
                    yield _Load(text=f"{rate:g} requests/s", run=run, offered_per_s=rate)
            case specs.RampUp():
                yield self._ramp(phase)
            case specs.Sustained():
                rate = phase.share_of_peak * self._peak_per_s
                run = self._scheduled(schedule.constant(rate, phase.duration_s), phase.duration_s)
                text = f"{phase.share_of_peak:.0%} of the peak, {rate:.4g} requests/s"
                yield _Load(text=text, run=run, offered_per_s=rate)
            case specs.Spike():
                base, burst = phase.requests_per_s, phase.spike_requests_per_s
                due = schedule.spike(
                    base, burst, after_s=phase.spike_after_s, spike_s=phase.spike_s, duration_s=phase.duration_s
                )
                mean = base + (burst - base) * phase.spike_s / phase.duration_s
                text = f"{base:g} requests/s, {burst:g} for {phase.spike_s:g} s"
                yield _Load(text=text, run=self._scheduled(due, phase.duration_s), offered_per_s=mean)
            case specs.Replay():
                due = schedule.recorded(pathlib.Path(phase.file).expanduser(), speed=phase.speed)
                yield _Load(text=f"arrivals in {pathlib.Path(phase.file).name}", run=self._scheduled(due, 60.0))
            case specs.WarmUp():
                return

    def _ramp(self, phase: specs.RampUp) -> _Load:
        if phase.from_streams is not None and phase.to_streams is not None:
            return _Load(
                text=f"{phase.from_streams} to {phase.to_streams} streams",
                run=self._streams(phase.from_streams, phase.duration_s, until=phase.to_streams),
            )
        first, last = phase.from_requests_per_s or 0.0, phase.to_requests_per_s or 0.0
        due = schedule.ramp(first, last, phase.duration_s)
        run = self._scheduled(due, phase.duration_s)
        return _Load(text=f"{first:g} to {last:g} requests/s", run=run, offered_per_s=(first + last) / 2)

    def _streams(
        self, streams: int, duration_s: float, *, least: int = 1, until: int | None = None
    ) -> Callable[[Answered], Issued]:
        return lambda answered: issuer.in_streams(
            streams,
            self._cell.instances,
            answered,
            duration_s=duration_s,
            least=least,
            until_streams=until,
            hang_after_s=self._spec.hang_after_s,
            on_look=lambda: self._on_look(f"{streams} streams", answered.counted),
        )

    def _scheduled(
        self, due: Iterator[np.ndarray], drain_s: float, *, all_at_once: bool = False
    ) -> Callable[[Answered], Issued]:
        return lambda answered: issuer.by_schedule(
            due,
            self._cell.instances,
            answered,
            hang_after_s=self._spec.hang_after_s,
            drain_s=max(drain_s, 1.0),
            most_waiting=None if all_at_once else issuer.MOST_WAITING,
            on_look=lambda: self._on_look("requests", answered.counted),
        )

    def _measured(self, name: str, load: _Load) -> Measured:
        cell, answered = self._cell, Answered()
        traces, samples = cell.traces(), 0 if cell.samples is None else cell.samples()
        started_s = time.perf_counter() - self._begin_s
        issued = load.run(answered)
        answered.read(ended=True)
        rows = answered.rows()
        count = rows.requests * cell.batch_size if cell.samples is None else cell.samples() - samples
        if issued.status == "ended" and rows.span_s:
            self._peak_per_s = max(self._peak_per_s, rows.requests / rows.span_s)
        retraces = cell.traces() - traces
        lag_ns = _lag_p99_ns(rows) if load.offered_per_s is not None else None
        found = _percentiles(rows) if load.metric != "samples_per_s" else ()
        phase = result.LoadPhase(
            phase=name,
            load=load.text,
            executable=cell.executable,
            batch_size=cell.batch_size,
            instances=len(cell.instances),
            issuer="tfperf",
            valid=True,
            reasons=(),
            status=issued.status,
            started_s=started_s,
            duration_s=rows.span_s,
            requests=rows.requests,
            samples=count,
            offered_per_s=load.offered_per_s,
            metric=_metric(load, rows, count, found),
            percentiles=found,
            mean_ns=rows.mean_latency_ns if rows.requests else None,
            queue_ns=rows.mean_queue_ns if rows.requests else None,
            service_ns=rows.mean_service_ns if rows.requests else None,
            data_ns=rows.mean_data_ns if cell.samples is not None and rows.requests else None,
            lag_p99_ns=lag_ns,
            not_finite=answered.not_finite,
            retraces=retraces,
        )
        reasons = tuple(_reasons(phase, load, issued, answered.failure, self._spec.hang_after_s))
        return Measured(
            phase=dataclasses.replace(phase, valid=not reasons, reasons=reasons), rows=rows, failure=answered.failure
        )


def _reasons(
    phase: result.LoadPhase, load: _Load, issued: Issued, failure: BaseException | None, hang_after_s: float
) -> Iterator[str]:
    """Why the numbers of a load may not be quoted."""
    if issued.status == "failed":
        words = " ".join(str(failure).split())[:300]
        yield f"a request failed after {phase.requests:,} answers: {type(failure).__name__}: {words}"
        return
    if issued.status == "hung":
        yield f"a request was not answered within {hang_after_s:g} s, after {phase.requests:,} answers"
        return
    if issued.status == "interrupted":
        yield f"interrupted after {phase.requests:,} answers"
        return
    if phase.not_finite:
        yield f"{phase.not_finite:,} answers that were looked at hold NaN or an infinity"
    if phase.retraces:
        yield f"the model was traced or compiled {phase.retraces} times during the load"
    unanswered = issued.sent - phase.requests
    if unanswered > 0:
        yield f"the load was not reached: {unanswered:,} of {issued.sent:,} requests were not answered in time"
    elif phase.offered_per_s is not None and phase.requests_per_s < _REACHED * phase.offered_per_s and issued.sent > 1:
        yield (
            f"the load was not reached: {phase.requests_per_s:.4g} of {phase.offered_per_s:.4g} requests/s were "
            "answered"
        )
    p99 = phase.latency_ns(99.0)
    if phase.lag_p99_ns is not None and phase.lag_p99_ns > max(_MOST_LAG_NS, _LAG_SHARE * (p99 or 0.0)):
        yield (
            f"limited by the issuer, not by the model: 1 % of the requests were sent more than "
            f"{phase.lag_p99_ns / 1e6:.3g} ms late"
        )
    if load.bound_ns is not None:
        if p99 is None:
            yield f"P99 is unknown: {phase.requests:,} requests are too few"
        elif p99 > load.bound_ns:
            yield f"P99 is {p99 / 1e6:.4g} ms, the bound {load.bound_ns / 1e6:.4g} ms"


def _metric(load: _Load, rows: Rows, samples: int, found: tuple[result.Percentile, ...]) -> result.Measurement | None:
    if not rows.requests:
        return None
    if load.metric == "samples_per_s":
        rate = samples / rows.span_s if rows.span_s else 0.0
        return result.Measurement(name="throughput", value=rate, unit="samples/s")
    percentile = float(load.metric.removeprefix("p"))
    value = next((each.value_ns for each in found if each.percentile == percentile), None)
    return None if value is None else result.Measurement(name=f"P{percentile:g} latency", value=value, unit="ns")


def _percentiles(rows: Rows) -> tuple[result.Percentile, ...]:
    """Those that the number of requests supports."""
    sampled = rows.every > 1
    found = percentiles.percentiles(
        rows.latency_ns,
        slowest_ns=rows.slowest_ns if sampled else None,
        queries=rows.requests if sampled else None,
    )
    return tuple(each for each in found if rows.requests >= early_stopping.least_queries(each.percentile))


def _lag_p99_ns(rows: Rows) -> float | None:
    """How late 99 % of the requests were sent at most."""
    if not rows.requests:
        return None
    return float(np.percentile(rows.issued_ns - rows.due_ns, 99))


def _settled(times: Sequence[float]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    before, now = statistics.median(times[-2 * _WINDOW : -_WINDOW]), statistics.median(times[-_WINDOW:])
    return abs(now - before) <= _STEADY * before
