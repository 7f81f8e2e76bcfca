"""What was observed about the machines during the loads of an evaluation."""

from __future__ import annotations

from typing import Any

from tfperf import result
from tfperf.evaluation.hosts import Hosts
from tfperf.telemetry import observation
from tfperf.telemetry.recorder import Recorder
from tfperf.telemetry_log import Window


def changes(outcome: result.EvaluateResult, recorder: Recorder, hosts: Hosts | None, *, whole: bool) -> dict[str, Any]:
    """What the observation adds to the result: the energy and the use of the machines in each load. Ends it.

    Args:
        outcome: the result with its loads.
        recorder: what observed this machine.
        hosts: all hosts; None for this one alone.
        whole: whether the evaluation came to its end, so that all hosts are here.
    """
    windows = [_window(load) for load in outcome.phases if load.span_ns]
    own = recorder.finish(windows)
    if hosts is None or not whole:
        found = observation.alone(own, workers=1 if hosts is None else hosts.share.hosts)
    else:
        found = observation.together([observation.from_plain(each) for each in hosts.of_all(observation.as_plain(own))])
    notes = (*outcome.notes, *((recorder.failure,) if recorder.failure else ()))
    return {"energy": found.energy, "use": found.use, "notes": notes}


def _window(load: result.LoadPhase) -> Window:
    begin_ns, end_ns = load.span_ns
    more = [
        *([f"{load.instances} instances"] if load.instances > 1 else []),
        *([f"{load.threads} threads"] if load.threads else []),
        *([load.device] if load.device != "auto" else []),
        *([f"repeat {load.repeat}"] if load.repeat > 1 else []),
    ]
    name = ", ".join([load.phase, load.load, load.executable, f"batch {load.batch_size}", *more])
    return Window(name=name, begin_ns=begin_ns, end_ns=end_ns, samples=load.samples)
