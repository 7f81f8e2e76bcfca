"""Speeds leave out the first execution, and tell when epochs differed."""

import pytest

from tfperf.training import pace


def epoch(number: int, seconds: float, **changes: object) -> pace.Epoch:
    values = {"number": number, "seconds": seconds, "steps": 10, "examples": 80, **changes}
    return pace.Epoch(**values)  # type: ignore[arg-type]


def test_the_first_execution_is_left_out() -> None:
    times = pace.StepTimes()
    times.add(steps=10, seconds=30.0)
    for _ in range(100):
        times.add(steps=10, seconds=0.1)
    assert (times.first_s, times.first_steps) == (30.0, 10)
    assert times.percentiles_ms() == pytest.approx({50: 10.0, 90: 10.0, 99: 10.0})
    first = epoch(1, 12.0, first_s=11.0, first_steps=5, first_examples=40)
    assert first.steady_step_s == pytest.approx(0.2)
    assert pace.examples_per_s([first]) == pytest.approx(40.0)


def test_percentiles_need_executions_beyond_them() -> None:
    times = pace.StepTimes()
    assert times.percentiles_ms() == {}
    for seconds in (9.0, *[0.001 * n for n in range(1, 11)]):
        times.add(steps=1, seconds=seconds)
    assert times.percentiles_ms() == pytest.approx({50: 5.0, 90: 9.0})


def test_an_execution_that_is_not_like_the_others_can_be_dropped() -> None:
    times = pace.StepTimes()
    times.add(steps=1, seconds=9.0)
    times.drop_last()
    times.add(steps=1, seconds=1.0)
    times.add(steps=1, seconds=5.0)
    times.drop_last()
    assert times.first_s == 9.0
    assert times.percentiles_ms() == {50: 1000.0}


def test_examples_that_are_not_known_of_all_epochs_give_no_speed() -> None:
    assert pace.examples_per_s([epoch(1, 1.0), epoch(2, 1.0, examples=None)]) is None
    assert pace.examples_per_s([epoch(1, 1.0, first_s=0.5, first_steps=1, first_examples=None)]) is None
    assert pace.examples_per_s([]) is None


def test_says_when_speed_varied_widely_between_epochs() -> None:
    alike = [epoch(1, 1.0), epoch(2, 1.1), epoch(3, 1.05)]
    assert pace.variation(alike) is None
    assert pace.slowest_to_fastest(alike) == pytest.approx(1.1)
    assert pace.variation([epoch(1, 1.0), epoch(2, 2.0), epoch(3, 1.1)]) == (
        "Speed varied widely between epochs: a step took 200 ms in epoch 2, 100 ms in epoch 1 and 110 ms in the median "
        "epoch."
    )
    assert pace.slowest_to_fastest(alike[:1]) is None
