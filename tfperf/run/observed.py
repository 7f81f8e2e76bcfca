"""What was observed about the machines of a training run, put together from all its workers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfperf import result
from tfperf.analysis import bottleneck
from tfperf.system.assembly import Assembly
from tfperf.telemetry import observation
from tfperf.telemetry.observation import WindowObservation
from tfperf.telemetry.recorder import Recorder
from tfperf.telemetry_log import Window
from tfperf.training.meter import Meter

TRAINING = "training"
SYNTHETIC_STEPS = 2  # timed before the clock starts, to know what a step takes without its input


def ended(recorder: Recorder, meter: Meter) -> tuple[WindowObservation, ...]:
    """Ends the recording of this worker: what it observed from the start of the clock to its stop."""
    span_ns = meter.span_ns
    windows = []
    if span_ns is not None:
        begin_ns, end_ns = span_ns
        windows.append(Window(name=TRAINING, begin_ns=begin_ns, end_ns=end_ns, samples=meter.examples))
    return recorder.finish(windows)


def by_all(together: Assembly, own: Sequence[WindowObservation]) -> observation.Observed:
    """What all workers observed. Every worker calls it."""
    values = together.exchange(observation.as_plain(own))
    return observation.together([observation.from_plain(each) for each in values])


def by_one(own: Sequence[WindowObservation], *, workers: int) -> observation.Observed:
    """What this worker observed of a run that failed. The energy of several workers is unknown then."""
    return observation.alone(own, workers=workers)


def added(outcome: result.TrainResult, found: observation.Observed, *, failure: str) -> result.TrainResult:
    """The result with what was observed, and a note if the observation failed."""
    notes = (*outcome.notes, *((failure,) if failure else ()))
    return dataclasses.replace(outcome, energy=found.energy, use=found.use, notes=notes)


def limited(outcome: result.TrainResult, meter: Meter, *, synthetic_step_s: float | None) -> result.TrainResult:
    """The result with what limited training.

    Args:
        outcome: the result.
        meter: its clock, stopped.
        synthetic_step_s: seconds of a step on synthetic batches; None if none was timed.
    """
    if synthetic_step_s is None or not meter.steps:
        return outcome
    step_s = meter.training_s / meter.steps
    found = bottleneck.of_training(
        input_share=max(0.0, 1 - synthetic_step_s / step_s),
        window=TRAINING,
        run_cpu_percent=outcome.use[0].run_cpu_percent if outcome.use else None,
        step_s=step_s,
    )
    return dataclasses.replace(outcome, bottlenecks=(found,))
