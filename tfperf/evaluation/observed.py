"""What was observed about the machines during the loads of an evaluation."""

from __future__ import annotations

from typing import Any

from tfperf import result
from tfperf.analysis import bottleneck
from tfperf.evaluation.hosts import Hosts
from tfperf.evaluation.peaks import Peaks
from tfperf.telemetry import observation
from tfperf.telemetry.recorder import Recorder
from tfperf.telemetry_log import Window


def changes(
    outcome: result.EvaluateResult, recorder: Recorder, hosts: Hosts | None, peaks: Peaks, *, whole: bool
) -> dict[str, Any]:
    """What the observation adds to the result: the energy and the use of the machines in each load. Ends it.

    Args:
        outcome: the result with its loads.
        recorder: what observed this machine.
        hosts: all hosts; None for this one alone.
        peaks: measures what the machine does at most, where that decides what limited a load.
        whole: whether the evaluation came to its end, so that all hosts are here and the model is known to answer.
    """
    windows = [_window(load) for load in outcome.phases if load.span_ns]
    own = recorder.finish(windows)
    if hosts is None or not whole:
        found = observation.alone(own, workers=1 if hosts is None else hosts.share.hosts)
    else:
        found = observation.together([observation.from_plain(each) for each in hosts.of_all(observation.as_plain(own))])
    notes = (*outcome.notes, *((recorder.failure,) if recorder.failure else ()))
    limits = tuple(_limit(load, peaks if whole else None) for load in outcome.phases if load.mean_ns)
    return {"energy": found.energy, "use": found.use, "bottlenecks": limits, "notes": notes}


def _window(load: result.LoadPhase) -> Window:
    begin_ns, end_ns = load.span_ns
    return Window(name=load.window, begin_ns=begin_ns, end_ns=end_ns, samples=load.samples)


def _limit(load: result.LoadPhase, peaks: Peaks | None) -> result.Bottleneck:
    """What limited a load."""
    times = _times(load)
    verdict = bottleneck.of_requests(times, window=load.window)
    if peaks is None or not bottleneck.asks_for_peak(times):
        return verdict
    shares = peaks.of(load)
    if isinstance(shares, str):
        return bottleneck.with_evidence(verdict, shares)
    return bottleneck.of_requests(times, window=load.window, peak=shares)


def _times(load: result.LoadPhase) -> bottleneck.RequestTimes:
    """Where the time of a load's requests went. In an offline one all requests wait by design."""
    offline = load.phase == "offline"
    mean_ns, queue_ns, service_ns, data_ns = load.mean_ns or 0.0, load.queue_ns, load.service_ns, load.data_ns
    answered_ns = (queue_ns or 0.0) + (service_ns or 0.0)
    return bottleneck.RequestTimes(
        # LoadGen counts the latency and the SUT its parts, which may be longer by what counting takes.
        latency_ns=max(mean_ns, answered_ns),
        lag_ns=max(0.0, mean_ns - answered_ns) if load.lag_p99_ns is not None and not offline else None,
        queue_ns=None if offline else queue_ns,
        input_ns=None if offline else data_ns,
        compute_ns=None if offline or service_ns is None else service_ns - (data_ns or 0.0),
        busy=load.busy if offline else None,
    )
