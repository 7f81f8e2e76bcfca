"""What a phase asks of the issuer: each load with its schedule or its streams."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from tfperf import spec as specs
from tfperf.errors import ConfigError
from tfperf.evaluation import issuer, schedule
from tfperf.evaluation.answered import Answered
from tfperf.evaluation.issuer import Issued, ModelInstance


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """One load of a phase.

    Attributes:
        text: what it is, for people.
        run: sends the requests.
        offered_per_s: the rate of its schedule, on all hosts; None for streams.
        metric: what stands for it: a percentile of the latency, or samples per second.
        bound_ns: the bound for P99.
        changes: whether the load changes by itself, so that no steady state is expected.
    """

    text: str
    run: Callable[[Answered], Issued]
    offered_per_s: float | None = None
    metric: Literal["p90", "p99", "samples_per_s"] = "p99"
    bound_ns: float | None = None
    changes: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """The part of a load that this host sends.

    Attributes:
        index: the number of this host, from 0.
        hosts: how many send at the same time.
    """

    index: int = 0
    hosts: int = 1

    def of(self, count: int) -> int:
        """This host's part of something that can't be divided, such as streams."""
        return count // self.hosts + (1 if self.index < count % self.hosts else 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planner:
    """Plans loads on some instances of the model.

    Attributes:
        instances: each answers one request at a time.
        batch_size: samples in a request.
        hang_after_s: how long a request may run.
        seed: seeds random arrivals.
        on_look: called a few times a second with the load and the requests so far.
        share: the part of each load that this host sends.
    """

    instances: tuple[ModelInstance, ...]
    batch_size: int
    hang_after_s: float
    seed: int
    on_look: Callable[[str, int], None]
    share: Share = dataclasses.field(default_factory=Share)

    def loads(self, phase: specs.Phase, *, peak_per_s: float, request_s: float) -> Iterator[Load]:
        """The loads of a phase; none for a warm-up.

        Args:
            phase: the phase.
            peak_per_s: the most requests per second so far, on all hosts.
            request_s: the time of one request, from the warm-up.

        Raises:
            ConfigError: more hosts than streams.
        """
        match phase:
            case specs.SingleStreamLoad():
                run = self._streams(1, phase.min_duration_s, least=phase.min_queries)
                yield Load(text="1 stream", run=run, metric="p90")
            case specs.MultiStreamLoad():
                # The samples of a query are answered together: the batch size is that of the query.
                run = self._streams(1, phase.min_duration_s, least=phase.min_queries)
                yield Load(text=f"queries of {self.batch_size}", run=run)
            case specs.ServerLoad():
                yield self._server(phase)
            case specs.OfflineLoad():
                yield self._offline(phase, request_s)
            case specs.Concurrency():
                for streams in phase.streams:
                    yield Load(text=_streams(streams), run=self._streams(streams, phase.duration_s))
            case specs.ConstantRate():
                for rate in phase.requests_per_s:
                    yield self._constant(phase, rate)
            case specs.RampUp():
                yield self._ramp(phase)
            case specs.Sustained():
                yield self._sustained(phase, peak_per_s)
            case specs.Spike():
                yield self._spike(phase)
            case specs.Replay():
                yield self._replay(phase)
            case specs.WarmUp():
                return

    def _rate(self, per_s: float) -> float:
        return per_s / self.share.hosts

    def _server(self, phase: specs.ServerLoad) -> Load:
        due = schedule.poisson(
            self._rate(phase.target_qps),
            phase.min_duration_s,
            seed=self.seed + self.share.index,
            least=self.share.of(phase.min_queries),
        )
        return Load(
            text=f"{phase.target_qps:g} requests/s",
            run=self._scheduled(due, phase.min_duration_s),
            offered_per_s=phase.target_qps,
            bound_ns=phase.latency_bound_ms * 1e6,
        )

    def _offline(self, phase: specs.OfflineLoad, request_s: float) -> Load:
        count = max(1, int(phase.min_duration_s * len(self.instances) / request_s))
        parts = (np.zeros(min(schedule.PART, count - start)) for start in range(0, count, schedule.PART))
        # Each host sends as many as it can answer in the time.
        text = f"{count:,} requests at once" if self.share.hosts == 1 else "all requests at once"
        return Load(
            text=text, run=self._scheduled(parts, 4 * phase.min_duration_s, all_at_once=True), metric="samples_per_s"
        )

    def _constant(self, phase: specs.ConstantRate, rate: float) -> Load:
        own = self._rate(rate)
        if phase.poisson:
            due = schedule.poisson(own, phase.duration_s, seed=self.seed + self.share.index)
        else:
            due = schedule.constant(own, phase.duration_s)
        return Load(text=f"{rate:g} requests/s", run=self._scheduled(due, phase.duration_s), offered_per_s=rate)

    def _sustained(self, phase: specs.Sustained, peak_per_s: float) -> Load:
        rate = phase.share_of_peak * peak_per_s
        run = self._scheduled(schedule.constant(self._rate(rate), phase.duration_s), phase.duration_s)
        text = f"{phase.share_of_peak:.0%} of the peak, {rate:.4g} requests/s"
        return Load(text=text, run=run, offered_per_s=rate)

    def _spike(self, phase: specs.Spike) -> Load:
        base, burst = phase.requests_per_s, phase.spike_requests_per_s
        due = schedule.spike(
            self._rate(base),
            self._rate(burst),
            after_s=phase.spike_after_s,
            spike_s=phase.spike_s,
            duration_s=phase.duration_s,
        )
        mean = base + (burst - base) * phase.spike_s / phase.duration_s
        text = f"{base:g} requests/s, {burst:g} for {phase.spike_s:g} s"
        return Load(text=text, run=self._scheduled(due, phase.duration_s), offered_per_s=mean, changes=True)

    def _replay(self, phase: specs.Replay) -> Load:
        path = pathlib.Path(phase.file).expanduser()
        due = schedule.recorded(path, speed=phase.speed, first=self.share.index, every=self.share.hosts)
        return Load(text=f"arrivals in {path.name}", run=self._scheduled(due, 60.0), changes=True)

    def _ramp(self, phase: specs.RampUp) -> Load:
        if phase.from_streams is not None and phase.to_streams is not None:
            return Load(
                text=f"{phase.from_streams} to {phase.to_streams} streams",
                run=self._streams(phase.from_streams, phase.duration_s, until=phase.to_streams),
                changes=True,
            )
        first, last = phase.from_requests_per_s or 0.0, phase.to_requests_per_s or 0.0
        due = schedule.ramp(self._rate(first), self._rate(last), phase.duration_s)
        run = self._scheduled(due, phase.duration_s)
        text = f"{first:g} to {last:g} requests/s"
        return Load(text=text, run=run, offered_per_s=(first + last) / 2, changes=True)

    def _streams(
        self, streams: int, duration_s: float, *, least: int = 1, until: int | None = None
    ) -> Callable[[Answered], Issued]:
        if min(streams, streams if until is None else until) < self.share.hosts:
            raise ConfigError(
                (
                    f"streams: {streams} can't be shared by {self.share.hosts} hosts, each of which needs one. Ask for "
                    "more streams, or for a rate.",
                )
            )
        own, own_until = self.share.of(streams), None if until is None else self.share.of(until)
        return lambda answered: issuer.in_streams(
            own,
            self.instances,
            answered,
            duration_s=duration_s,
            least=self.share.of(least) or 1,
            until_streams=own_until,
            hang_after_s=self.hang_after_s,
            on_look=lambda: self.on_look(_streams(streams), answered.counted),
        )

    def _scheduled(
        self, due: Iterator[np.ndarray], drain_s: float, *, all_at_once: bool = False
    ) -> Callable[[Answered], Issued]:
        return lambda answered: issuer.by_schedule(
            due,
            self.instances,
            answered,
            hang_after_s=self.hang_after_s,
            drain_s=max(drain_s, 1.0),
            most_waiting=None if all_at_once else issuer.MOST_WAITING,
            on_look=lambda: self.on_look("requests", answered.counted),
        )


def _streams(count: int) -> str:
    return f"{count} stream{'s' if count > 1 else ''}"
