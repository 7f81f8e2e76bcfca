"""The clock of a run: what it counts in an epoch that was cut off."""

import time

import pytest

from tfperf.events import Event, Fanout
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter, Unit


class Kept:
    """A sink that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("unit", ["epochs", "samples"])
@pytest.mark.parametrize("whole", [0, 1])
def test_the_seconds_of_an_epoch_that_was_cut_off_count_as_its_examples_do(unit: Unit, whole: int) -> None:
    sink = Kept()
    meter = Meter(
        Fanout((sink,)), goal=Goal(metric="accuracy", target=0.9, mode="max"), unit=unit, batch_size=8, compiled=True
    )
    meter.start()

    def train(number: int) -> None:
        meter.epoch_begin(number)
        for _ in range(5):
            time.sleep(0.01)
            meter.execution_end(1, at=time.perf_counter(), stats=dict, logs=None)

    for number in range(1, whole + 1):
        train(number)
        meter.epoch_end(examples=40, stats={})
        meter.evaluation_begin()
        time.sleep(0.1)
        meter.evaluation_end(0.5)
    train(whole + 1)
    meter.abort("interrupted")
    steps = 5 * (whole + 1)
    assert meter.examples == 8 * steps
    training_s = sum(epoch.seconds for epoch in meter.epochs)
    assert meter.training_s >= 0.01 * steps > training_s
    assert meter.evaluation_s == pytest.approx(0.1 * whole, abs=0.05)
    assert meter.training_s + meter.evaluation_s <= meter.run_s
