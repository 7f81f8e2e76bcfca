"""Tests of the progress of serving."""

import dataclasses
import io

import pytest

from tfperf.reporting import serving_progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    phase: str = "measuring"
    elapsed_s: float = 0.0
    queries: int = 0
    least_queries: int | None = None
    samples: int = 0
    rate: float = 0.0
    p99_ns: float | None = None
    fraction: float | None = None


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def shown(stream, *, interactive=False, bound_ns=15e6, clock=None):
    # An hour between drawings: what a test sees is what it drew itself.
    return serving_progress.ServingProgress(
        stream,
        min_duration_s=600,
        bound_ns=bound_ns,
        interactive=interactive,
        clock=clock or Clock(),
        every_s=3600,
    )


RUN = (
    (0.0, Status(phase="opening")),
    (3.0, Status(phase="loading samples", fraction=0.25)),
    (4.0, Status(phase="loading samples", fraction=0.75)),
    (5.0, Status(phase="warming up")),
    (9.0, Status()),
    (39.0, Status(elapsed_s=30, samples=36_000, rate=1234.5, p99_ns=12.3e6)),
    (99.0, Status(elapsed_s=90, samples=108_000, rate=1230, p99_ns=16.1e6)),
    (609.5, Status(elapsed_s=600.5, samples=720_000, rate=1230, p99_ns=14e6)),
    (609.7, Status(phase="ending", elapsed_s=600.7)),
)


def test_without_a_terminal_it_writes_each_phase():
    stream, clock = io.StringIO(), Clock()
    view = shown(stream, clock=clock)
    view.begin("performance")
    for after_s, status in RUN:
        clock.now_s = 1000 + after_s
        view.update(status)
    view.note("performance: VALID")
    view.close()

    assert stream.getvalue() == (
        "performance  0:00\n"
        "performance  opening  0:00\n"
        "performance  loading samples 25%  0:03\n"
        "performance  warming up  0:05\n"
        "performance  0:00 of 10:00, 10:00 left  0 samples/s  p99 -- of 15 ms  0 samples\n"
        "performance  ending  10:09\n"
        "performance: VALID\n"
    )


def test_on_a_terminal_it_writes_over_its_line_and_keeps_the_notes():
    stream, clock = io.StringIO(), Clock()
    view = shown(stream, interactive=True, clock=clock)
    view.draw()
    view.begin("probe at 120 samples/s", lasts_s=20)
    clock.now_s += 2
    view.draw()
    view.update(Status(elapsed_s=5, samples=600, rate=120, p99_ns=5e6))
    view.draw()
    view.note("probe at 120 samples/s: VALID")
    view.close()
    view.draw()

    assert stream.getvalue().replace("\x1b[K", "<").split("\r")[1:] == [
        "preparing  0:00<",
        "probe at 120 samples/s  0:02<",
        "probe at 120 samples/s  0:05 of 0:20, 0:15 left  120 samples/s  p99 5 ms of 15 ms  600 samples<",
        "probe at 120 samples/s: VALID<\n",
        "<",
    ]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            Status(elapsed_s=90, samples=108_000, rate=1230, p99_ns=16.1e6),
            "1:30 of 10:00, 8:30 left  1,230 samples/s  p99 16.1 ms of 15 ms, LATE  108,000 samples",
        ),
        (
            Status(elapsed_s=600.5, samples=720_000, rate=1230, p99_ns=14e6),
            "10:00 of 10:00, waiting for the last answers  1,230 samples/s  p99 14 ms of 15 ms  720,000 samples",
        ),
    ],
)
def test_a_measurement_shows_the_time_left_and_whether_it_is_late(status, text):
    step = serving_progress.MeasurementStep(name="performance", lasts_s=600, bound_ns=15e6)
    assert serving_progress.live_text(step, status, for_s=700) == f"performance  {text}"


def test_a_run_that_lacks_queries_says_how_many_there_are_to_be():
    step = serving_progress.MeasurementStep(name="performance", lasts_s=1)
    status = Status(elapsed_s=66, queries=33, least_queries=459, samples=33, rate=0.5)
    text = "performance  1:06 of 0:01, 33 of 459 queries  0.5 samples/s  33 samples"
    assert serving_progress.live_text(step, status, for_s=70) == text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Status(elapsed_s=61, samples=10, rate=5), "accuracy  1:01  5 samples/s  10 samples"),
        (Status(elapsed_s=61, samples=10, rate=5, p99_ns=2e6), "accuracy  1:01  5 samples/s  p99 2 ms  10 samples"),
    ],
)
def test_an_accuracy_run_has_neither_an_end_nor_a_bound_to_show(status, text):
    assert serving_progress.live_text(serving_progress.MeasurementStep(name="accuracy"), status, for_s=70) == text


def test_a_step_that_does_not_measure_shows_how_long_it_takes():
    stream, clock = io.StringIO(), Clock()
    view = shown(stream, clock=clock)
    view.begin("building litert-int8", measures=False)
    clock.now_s += 75
    view.update(Status(phase="opening"))
    view.close()

    assert stream.getvalue() == "building litert-int8  0:00\nbuilding litert-int8  opening  1:15\n"
