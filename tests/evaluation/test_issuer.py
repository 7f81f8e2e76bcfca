"""Requests are sent by schedule or in streams, and a model of known behaviour is reported right."""

import threading
import time

import numpy as np
import pytest

from tfperf.evaluation import issuer, schedule
from tfperf.evaluation.answered import Answered


class Synthetic:
    """Answers in a known time, holding the GIL as little as a model does."""

    def __init__(self, service_s: float = 0.0, *, fails_at: int | None = None, hangs_at: int | None = None) -> None:
        self.service_s, self.fails_at, self.hangs_at = service_s, fails_at, hangs_at
        self.released = threading.Event()

    def answer(self, number: int) -> int:
        if number == self.fails_at:
            raise ValueError("a bad request")
        if number == self.hangs_at:
            self.released.wait(30)
        if self.service_s:
            time.sleep(self.service_s)
        return 0

    def look(self, number: int) -> bool:
        return number % 10 != 3


def streams(count: int, models: list[Synthetic], *, duration_s: float = 0.5, **options):
    answered = Answered()
    issued = issuer.in_streams(count, models, answered, duration_s=duration_s, hang_after_s=0.3, **options)
    answered.read(ended=True)
    return issued, answered, answered.rows()


def scheduled(due, models: list[Synthetic], *, drain_s: float = 1.0, **options):
    answered = Answered()
    issued = issuer.by_schedule(due, models, answered, hang_after_s=0.3, drain_s=drain_s, **options)
    answered.read(ended=True)
    return issued, answered, answered.rows()


def test_streams_wait_in_line_for_the_only_instance() -> None:
    """Little's law: 4 requests are there all the time, however long the machine takes for one."""
    issued, _, rows = streams(4, [Synthetic(0.005)])
    assert issued.status == "ended"
    assert rows.mean_latency_ns / 1e9 * rows.requests / rows.span_s == pytest.approx(4, rel=0.1)
    assert rows.mean_queue_ns > 2 * rows.mean_service_ns
    assert rows.requests == issued.sent


def test_streams_answered_at_the_same_time_do_not_wait() -> None:
    _, _, rows = streams(2, [Synthetic(0.005), Synthetic(0.005)])
    assert rows.mean_queue_ns < 0.1 * rows.mean_service_ns
    assert rows.requests / rows.span_s > 1.5 / (rows.mean_service_ns / 1e9)


def test_streams_may_grow_in_number() -> None:
    _, _, rows = streams(1, [Synthetic(0.005) for _ in range(4)], until_streams=4, duration_s=1.0)
    half = rows.due_ns[0] + 5e8
    assert (rows.due_ns > half).sum() > 1.3 * (rows.due_ns <= half).sum()


def test_a_run_has_its_fewest_requests_even_if_it_takes_longer() -> None:
    issued, _, _ = streams(1, [Synthetic(0.005)], duration_s=0.01, least=20)
    assert issued.sent == 20


def test_latency_counts_from_the_schedule() -> None:
    """A stall of 0.2 s delays the requests behind it: no coordinated omission."""
    stalling = Synthetic(0.001, hangs_at=10)
    threading.Timer(0.3, stalling.released.set).start()
    _, _, rows = scheduled(schedule.constant(200.0, 1.0), [stalling], drain_s=2)
    assert rows.requests == 200
    late = (rows.latency_ns > 50e6).sum()
    assert late > 20  # those that were due while it stalled, and not only the one that did


def test_an_overload_is_given_up_and_told() -> None:
    issued, _, rows = scheduled(schedule.constant(500.0, 0.5), [Synthetic(0.01)], drain_s=0.2)
    assert issued.given_up
    assert rows.requests < issued.sent == 250


@pytest.mark.parametrize("closed", [True, False])
def test_a_request_that_fails_ends_the_load_and_keeps_what_was_answered(closed: bool) -> None:
    models = [Synthetic(0.001, fails_at=20)]
    issued, answered, rows = streams(2, models) if closed else scheduled(schedule.constant(200.0, 5.0), models)
    assert issued.status == "failed"
    assert str(answered.failure) == "a bad request"
    assert rows.requests == 20


@pytest.mark.parametrize("closed", [True, False])
def test_a_request_that_hangs_is_noticed_in_time(closed: bool) -> None:
    models = [Synthetic(0.001, hangs_at=20)]
    begin = time.perf_counter()
    issued, _, rows = streams(1, models, duration_s=60) if closed else scheduled(schedule.constant(100.0, 60), models)
    models[0].released.set()
    assert issued.status == "hung"
    assert time.perf_counter() - begin < 5
    assert rows.requests == 20


def test_ctrl_c_ends_the_load_and_keeps_what_was_answered() -> None:
    def press() -> None:
        if time.perf_counter() > begin + 0.2:
            raise KeyboardInterrupt

    begin = time.perf_counter()
    issued, _, rows = streams(1, [Synthetic(0.002)], duration_s=60, on_look=press)
    assert issued.status == "interrupted"
    assert rows.requests > 10


def test_answers_that_are_not_finite_are_counted() -> None:
    _, answered, rows = streams(1, [Synthetic(0.001)], duration_s=0.2)
    assert answered.not_finite == pytest.approx(rows.requests / 10, abs=1)


def test_memory_is_bounded_and_the_highest_latencies_exact() -> None:
    answered = Answered(kept=1000, slowest=500)
    generator = np.random.default_rng(1)
    latencies = generator.integers(1, 10**9, 100_000)
    for place, latency in enumerate(latencies.tolist()):
        answered.add(place, place, place, place + latency, 0)
        if place % 10_000 == 0:
            answered.read()
    answered.read(ended=True)
    rows = answered.rows()
    assert rows.requests == 100_000
    assert 500 <= len(rows.due_ns) <= 1000
    np.testing.assert_array_equal(rows.slowest_ns, np.sort(latencies)[-500:])
    assert rows.mean_latency_ns == pytest.approx(latencies.mean())
