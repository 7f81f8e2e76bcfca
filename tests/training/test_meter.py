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

    evaluated_s = 0.0
    for number in range(1, whole + 1):
        train(number)
        meter.epoch_end(examples=40, stats={})
        begun = time.perf_counter()
        meter.evaluation_begin()
        time.sleep(0.1)
        meter.evaluation_end(0.5)
        evaluated_s += time.perf_counter() - begun
    train(whole + 1)
    meter.abort("interrupted")
    assert meter.examples == 8 * 5 * (whole + 1)
    assert meter.training_s - sum(epoch.seconds for epoch in meter.epochs) >= 0.01 * 5
    assert 0.1 * whole <= meter.evaluation_s <= evaluated_s
    assert meter.training_s + meter.evaluation_s <= meter.run_s
