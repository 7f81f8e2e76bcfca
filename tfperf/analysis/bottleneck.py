"""What limited a run, from where the time of its requests or steps went.

A verdict names the part that took more than half of the time. Where the model itself took it, its arithmetic and its
weights are compared with what the machine was measured to do at most; without that comparison nobody can tell
arithmetic from memory, and the verdict is `inconclusive`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfperf.result import Bottleneck, Limit

_MOST = 0.5  # of the time, or of the machine's peak


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestTimes:
    """Where the mean time of a request went, in nanoseconds; None for what is unknown or says nothing here.

    Attributes:
        latency_ns: from the moment when the load wanted it sent to its answer.
        lag_ns: before it was sent.
        queue_ns: from then until an instance was free; None where all wait by design.
        input_ns: making its inputs.
        compute_ns: the model.
        busy: the share of the time in which instances computed, 0 to 1.
    """

    latency_ns: float
    lag_ns: float | None = None
    queue_ns: float | None = None
    input_ns: float | None = None
    compute_ns: float | None = None
    busy: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PeakShares:
    """What the model did in a second of computing, as a share of what the machine was measured to do at most.

    These are lower bounds.

    Attributes:
        arithmetic: of products of large matrices in float32.
        copying: of copying memory.
    """

    arithmetic: float
    copying: float


def of_requests(times: RequestTimes, *, window: str, peak: PeakShares | None = None) -> Bottleneck:
    """What limited requests."""
    parts = {"lag": times.lag_ns, "queue": times.queue_ns, "input": times.input_ns, "compute": times.compute_ns}
    shares = {name: part / times.latency_ns for name, part in parts.items() if part is not None and times.latency_ns}
    verdict, reason = _verdict(shares, times, peak)
    evidence = [*([reason] if reason else []), *_shares(shares, times), *_peaks(peak)]
    return Bottleneck(window=window, verdict=verdict, evidence=tuple(evidence))


def computing(busy: float | None, *, instances: int) -> float:
    """At most this share of the time some instance computed, 0 to 1.

    Args:
        busy: as in `RequestTimes`; None if unknown.
        instances: how many there are. They may have computed one after the other.
    """
    return 1.0 if not busy else min(1.0, busy * instances)


def asks_for_peak(times: RequestTimes) -> bool:
    """Whether the verdict depends on the peak of the machine: the model took most of the time."""
    known = of_requests(times, window="", peak=PeakShares(arithmetic=1.0, copying=0.0))
    return known.verdict == "compute"


def with_evidence(verdict: Bottleneck, why: str) -> Bottleneck:
    """The verdict with one more sentence."""
    return dataclasses.replace(verdict, evidence=(*verdict.evidence, why))


def of_training(
    *, input_share: float, window: str, run_cpu_percent: float | None = None, step_s: float | None = None
) -> Bottleneck:
    """What limited training.

    Args:
        input_share: share of the step time that steps would not take with their input in memory, 0 to 1.
        window: what was measured.
        run_cpu_percent: processor time of the run, in per cent of all cores; None if unknown.
        step_s: seconds of a step; None if unknown.
    """
    step = "" if step_s is None else f" of the {step_s * 1e3:.4g} ms of a step"
    evidence = [f"input took {input_share:.0%}{step}"]
    if run_cpu_percent is not None:
        evidence.append(f"the run used {run_cpu_percent:.3g} % of the processor time of its host")
    if input_share > _MOST:
        return Bottleneck(window=window, verdict="input", evidence=tuple(evidence))
    evidence.append("whether arithmetic or memory limits the step itself was not measured")
    return Bottleneck(window=window, verdict="inconclusive", evidence=tuple(evidence))


def _verdict(shares: dict[str, float], times: RequestTimes, peak: PeakShares | None) -> tuple[Limit, str]:
    if shares.get("lag", 0.0) > _MOST:
        return "load generator", "requests were sent late for most of their latency"
    if shares.get("queue", 0.0) > _MOST:
        return "queueing", "requests waited for a free instance for most of their latency"
    if shares.get("input", 0.0) > _MOST:
        return "input", "making the inputs took most of the latency"
    if shares.get("compute", 0.0) > _MOST or (times.busy or 0.0) > _MOST:
        return _of_the_model(peak)
    if "compute" in shares and times.queue_ns is not None:
        return "dispatch", "neither the model nor a queue took most of the latency"
    if times.busy is not None and times.queue_ns is not None:
        return "inconclusive", "the load is below what the model answers: its instances stood still most of the time"
    if times.busy is not None:
        return "dispatch", "instances of the model stood still for most of the time, although work was there"
    return "inconclusive", "no part took most of the time, as far as it is known"


def _of_the_model(peak: PeakShares | None) -> tuple[Limit, str]:
    if peak is None:
        return (
            "inconclusive",
            "the model took most of the time; whether arithmetic or memory limits it was not measured",
        )
    if peak.copying > _MOST and peak.copying > peak.arithmetic:
        return "memory", "the model took most of the time, reading its weights at more than half of the peak"
    if peak.arithmetic > _MOST:
        return "compute", "the model took most of the time, computing at more than half of the peak"
    return (
        "inconclusive",
        "the model took most of the time, and reached neither half of the arithmetic nor of the memory",
    )


def _shares(shares: dict[str, float], times: RequestTimes) -> Iterator[str]:
    words = {"lag": "sent late", "queue": "queue", "input": "inputs", "compute": "model"}
    if shares:
        listed = ", ".join(f"{words[name]} {share:.0%}" for name, share in shares.items())
        yield f"of a mean latency of {times.latency_ns / 1e6:.4g} ms: {listed}"
    if times.busy is not None:
        yield f"instances computed {times.busy:.0%} of the time"


def _peaks(peak: PeakShares | None) -> Iterator[str]:
    if peak is not None:
        shares = f"at least {peak.arithmetic:.0%} of the measured matmul peak and {peak.copying:.0%} of the copy peak"
        yield f"while it computed, {shares}"
