"""Runs the phases of an evaluation on one combination, by tfperf's own issuer."""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfperf import disk, result
from tfperf import spec as specs
from tfperf.analysis import load_curve
from tfperf.analysis.steady_state import MachineSeries
from tfperf.errors import FailedRequestError, TimedOutError
from tfperf.evaluation import issuer, verdicts
from tfperf.evaluation.answered import Answered, Rows
from tfperf.evaluation.grid import Combination
from tfperf.evaluation.issuer import Issued, ModelInstance
from tfperf.evaluation.machine_clocks import MachineClocks
from tfperf.evaluation.plans import Load, Planner, Share
from tfperf.system import memory

_STEADY = 0.02  # by which the median latency of a warm-up may still change
_WINDOW = 20  # requests whose median is compared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination that is measured.

    Attributes:
        combination: what it is.
        batch_size: samples in a request; in MultiStream those of a query.
        instances: each answers one request at a time.
        traces: the number of tracings and compilations so far.
        samples: samples that were answered by then, where requests differ in size; None where they don't.
    """

    combination: Combination
    batch_size: int
    instances: Sequence[ModelInstance]
    traces: Callable[[], int]
    samples: Callable[[], int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """A load that was measured, with its rows.

    Attributes:
        phase: its numbers.
        rows: the stamps of its requests; None if LoadGen measured it.
        failure: what ended it, in words; None if nothing did.
    """

    phase: result.LoadPhase
    rows: Rows | None
    failure: str | None = None


def unsaved(phase: str) -> Callable[[np.ndarray | None], None]:
    """A sink that keeps nothing of a phase."""
    return lambda rows: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What goes on beside the loads.

    Attributes:
        begin_s: the start of the evaluation, on the clock of `time.perf_counter`.
        on_look: called a few times a second with the load and the requests so far.
        save: opens a sink for all rows of a load, by its phase; called with the rows, and with None at the end.
        together: begins a load on all hosts at once; from each host's own part it gives that of all.
        clocks: reads the clocks and temperatures of the machine.
    """

    begin_s: float
    on_look: Callable[[str, int], None] = lambda load, requests: None
    save: Callable[[str], Callable[[np.ndarray | None], None]] = unsaved
    together: Together | None = None
    clocks: MachineClocks = dataclasses.field(default_factory=MachineClocks)

    def look(self, load: str, requests: int) -> None:
        """Call this a few times a second while a load is measured."""
        self.clocks.look()
        self.on_look(load, requests)


class Together:
    """Sends loads with other hosts; see `hosts.Hosts`. This one is alone."""

    share = Share()

    @property
    def origin_ns(self) -> int:
        """The moment from which the stamps of `merged` count, by `time.perf_counter_ns`."""
        return 0

    def begin(self) -> None:
        """Waits until all hosts are ready."""

    def merged(self, part: HostPart) -> HostPart:
        """What all hosts measured, from what each did."""
        return part


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostPart:
    """What one host measured of a load; `hosts` adds up those of all.

    Attributes:
        issued: how it ended.
        rows: its requests.
        samples: samples that were answered.
        instances: requests that could be answered at the same time.
        not_finite: answers with NaN or an infinity.
        retraces: tracings and compilations.
        memory_growth_bytes: how much more memory the process held at the end than at the start; None if unknown.
        failure: what ended it, in words.
    """

    issued: Issued
    rows: Rows
    samples: int
    instances: int
    not_finite: int
    retraces: int
    memory_growth_bytes: int | None
    failure: str | None


class Loads:
    """Runs phases on a cell.

    Args:
        spec: the evaluation.
        cell: the combination.
        around: what goes on beside the loads.
        peak_per_s: the most requests per second that were measured so far.
    """

    def __init__(self, spec: specs.EvaluateSpec, cell: Cell, *, around: Surroundings, peak_per_s: float = 0.0) -> None:
        self._spec, self._cell, self._around = spec, cell, around
        self._together = around.together or Together()
        self._planner = Planner(
            instances=tuple(cell.instances),
            batch_size=cell.batch_size,
            hang_after_s=spec.hang_after_s,
            seed=spec.seed,
            on_look=around.look,
            share=self._together.share,
        )
        self.peak_per_s = peak_per_s
        self._request_s: float | None = None

    def run(self, phase: specs.Phase, *, repeat: int = 1) -> Iterator[Measured]:
        """Runs the loads of a phase one after the other. A warm-up gives nothing."""
        if isinstance(phase, specs.WarmUp):
            self._warm_up(phase)
            return
        name = specs.phase_name(phase)
        request_s = self._expected_s() if isinstance(phase, specs.OfflineLoad) else 0.0
        for load in self._planner.loads(phase, peak_per_s=self.peak_per_s, request_s=request_s):
            measured = self._measured(name, load, repeat)
            yield measured
            if measured.phase.status != "ended":
                return

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
            on_look=lambda: self._around.look("warm-up", answered.counted),
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

    def _measured(self, name: str, load: Load, repeat: int) -> Measured:
        cell, save = self._cell, self._around.save(name)
        answered = Answered(save=save)
        traces, samples = cell.traces(), 0 if cell.samples is None else cell.samples()
        held = memory.held_bytes(os.getpid())
        self._together.begin()
        started_s = time.perf_counter() - self._around.begin_s
        issued = load.run(answered)
        answered.read(ended=True)
        _end_saving(save, answered)
        rows = answered.rows()
        counted = rows.requests + len(rows.retraced_ns)
        part = self._together.merged(
            HostPart(
                issued=issued if answered.failure is None else dataclasses.replace(issued, status="failed"),
                rows=rows,
                samples=counted * cell.batch_size if cell.samples is None else cell.samples() - samples,
                instances=len(cell.instances),
                not_finite=answered.not_finite,
                retraces=cell.traces() - traces,
                memory_growth_bytes=_growth(held),
                failure=None if answered.failure is None else _words(answered.failure),
            )
        )
        phase = self._phase(name, load, part, started_s=started_s, repeat=repeat)
        if phase.status == "ended" and not load.changes:
            self.peak_per_s = max(self.peak_per_s, phase.requests_per_s)
        return Measured(phase=phase, rows=part.rows, failure=part.failure)

    def _clocks(self, rows: Rows) -> Sequence[MachineSeries]:
        """Clocks and temperatures; nothing for the rows of several hosts."""
        if self._together.share.hosts > 1 or not len(rows.done_ns):
            return ()
        return self._around.clocks.since(int(rows.done_ns.min()))

    def _phase(self, name: str, load: Load, part: HostPart, *, started_s: float, repeat: int) -> result.LoadPhase:
        combination, rows = self._cell.combination, part.rows
        found = verdicts.supported(rows) if load.metric != "samples_per_s" else ()
        means: dict[str, Any] = (
            {
                "mean_ns": rows.mean_latency_ns,
                "mean_error_ns": load_curve.standard_error(rows.latency_ns),
                "queue_ns": rows.mean_queue_ns,
                "service_ns": rows.mean_service_ns,
                "data_ns": None if self._cell.samples is None else rows.mean_data_ns,
                "busy": _busy(rows, instances=part.instances),
            }
            if rows.requests
            else {}
        )
        phase = result.LoadPhase(
            phase=name,
            load=load.text,
            executable=combination.executable,
            batch_size=self._cell.batch_size,
            instances=part.instances,
            threads=combination.threads,
            device=combination.device,
            repeat=repeat,
            hosts=self._together.share.hosts,
            issuer="tfperf",
            valid=True,
            reasons=(),
            status=part.issued.status,
            started_s=started_s,
            duration_s=rows.span_s,
            span_ns=_span_ns(rows, origin_ns=self._together.origin_ns),
            requests=rows.requests,
            samples=part.samples,
            offered_per_s=load.offered_per_s,
            metric=verdicts.metric(load, rows, part.samples, found),
            percentiles=found,
            lag_p99_ns=verdicts.lag_p99_ns(rows) if load.offered_per_s is not None else None,
            not_finite=part.not_finite,
            retraces=part.retraces,
            retraced_requests=len(rows.retraced_ns),
            memory_growth_bytes=part.memory_growth_bytes,
            steadiness=None if load.changes else verdicts.steadiness(rows, machine=self._clocks(rows)),
            **means,
        )
        why = tuple(
            verdicts.reasons(
                phase,
                load,
                part.issued,
                part.failure,
                hang_after_s=self._spec.hang_after_s,
                surely_late_ns=verdicts.surely_late_ns(rows) if load.offered_per_s is not None else None,
            )
        )
        return dataclasses.replace(phase, valid=not why, reasons=why, notes=verdicts.notes(phase))


def _span_ns(rows: Rows, *, origin_ns: int) -> tuple[int, ...]:
    """When the load began and ended on this host, by `time.perf_counter_ns`."""
    if not len(rows.due_ns):
        return ()
    begin_ns = origin_ns + int(rows.due_ns.min())
    return begin_ns, begin_ns + round(rows.span_s * 1e9)


def _end_saving(save: Callable[[np.ndarray | None], None], answered: Answered) -> None:
    """Ends the file of a load's requests; a disk that is full fails the load, whose numbers are kept."""
    if isinstance(answered.failure, OSError):
        return
    try:
        save(None)
    except OSError as error:
        answered.fail(error)


def _growth(before: int | None) -> int | None:
    """How much more memory this process holds than before."""
    now = memory.held_bytes(os.getpid())
    return None if now is None or before is None else now - before


def _words(error: BaseException) -> str:
    """What ended a load."""
    if isinstance(error, OSError) and disk.refuses_writes(error):
        return f"nothing more can be written: {error}"
    return f"a request failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _settled(times: Sequence[float]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    before, now = statistics.median(times[-2 * _WINDOW : -_WINDOW]), statistics.median(times[-_WINDOW:])
    return abs(now - before) <= _STEADY * before


def _busy(rows: Rows, *, instances: int) -> float | None:
    """The share of the time in which instances computed; None without a span. Making inputs is no computing."""
    if not rows.span_s:
        return None
    computed_s = rows.requests * (rows.mean_service_ns - rows.mean_data_ns) / 1e9
    return min(1.0, computed_s / (instances * rows.span_s))
