"""The knee of a curve of latency over throughput, with its interval."""

import math

import numpy as np
import pytest

from tfperf.analysis import load_curve
from tfperf.analysis.load_curve import LoadPoint


def points(*known: tuple[float, float], by: str = "rate", error: float = 0.0) -> list[LoadPoint]:
    return [LoadPoint(throughput=x, latency=y, error=error * y, by=by) for x, y in known]


@pytest.mark.parametrize("rates", [range(10, 95, 10), (20, 35, 60, 85)])
def test_the_knee_of_a_queue_is_where_its_power_is_highest(rates) -> None:
    """M/M/1: latency 1 / (mu - rate); throughput / latency is highest at half the capacity."""
    found = load_curve.knee(points(*((rate, 1 / (100 - rate)) for rate in rates)))
    assert found is not None
    assert found.throughput == pytest.approx(50, rel=0.02)
    assert found.low <= 50 <= found.high
    assert found.high - found.low < 5


def test_the_knee_of_constant_times_is_that_of_pollaczek_and_khinchine() -> None:
    """M/D/1 with capacity 1: latency 1 + x / (2 (1 - x)), whose power is highest at 2 - sqrt(2)."""
    found = load_curve.knee(points(*((x, 1 + x / (2 * (1 - x))) for x in (0.2, 0.4, 0.6, 0.7, 0.8, 0.9))))
    assert found is not None
    assert found.throughput == pytest.approx(2 - math.sqrt(2), rel=0.02)


def test_the_interval_holds_the_knee_of_noisy_latencies() -> None:
    random, held = np.random.default_rng(1), 0
    for _ in range(100):
        known = [(rate, 1 / (100 - rate) * (1 + 0.03 * random.standard_normal())) for rate in range(10, 95, 10)]
        found = load_curve.knee(points(*known, error=0.03))
        assert found is not None
        held += found.low <= 50 <= found.high
    assert held >= 88  # of 95 expected


def test_closed_streams_that_saturate_have_their_knee_where_throughput_stops() -> None:
    """8 workers of 10 ms: up to 8 streams latency stays, then it grows."""
    streams = (1, 2, 4, 8, 16, 32)
    known = [(min(n, 8) * 100.0 + n / 100, 0.01 * max(1, n / 8)) for n in streams]
    found = load_curve.knee(points(*known, by="streams"))
    assert found is not None
    assert found.throughput == pytest.approx(800, rel=0.001)
    assert found.by == "streams"


def test_too_few_points_and_a_curve_without_an_end_have_no_knee() -> None:
    assert load_curve.knee(points((1, 1), (2, 1))) is None
    assert load_curve.knee(points((1, 1), (2, 1), (3, 1))) is None


def test_the_standard_error_allows_for_autocorrelation() -> None:
    random = np.random.default_rng(1)
    independent = random.standard_normal(3000)
    correlated = np.repeat(random.standard_normal(100), 30)
    assert load_curve.standard_error(independent) == pytest.approx(1 / math.sqrt(3000), rel=0.5)
    assert load_curve.standard_error(correlated) == pytest.approx(1 / math.sqrt(100), rel=0.5)
    assert load_curve.standard_error(np.zeros(5)) is None


def test_the_most_within_a_bound() -> None:
    known = [(100.0, 0.01), (200.0, 0.02), (300.0, 0.5)]
    assert load_curve.most_within(known, bound=0.1) == 200
    assert load_curve.most_within(known, bound=0.001) is None
