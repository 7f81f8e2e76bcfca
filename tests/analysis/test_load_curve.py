"""The knee of a curve of latency over throughput."""

import pytest

from tfperf.analysis import load_curve


def test_the_knee_of_a_queue_is_where_its_power_is_highest() -> None:
    """M/M/1: latency 1 / (mu - rate); throughput / latency is highest at half the capacity."""
    points = [(rate, 1 / (100 - rate)) for rate in range(5, 100, 5)]
    assert load_curve.knee(points) == pytest.approx(50, rel=0.05)


def test_closed_streams_that_saturate_have_their_knee_where_throughput_stops() -> None:
    """8 workers of 10 ms: up to 8 streams latency stays, then it grows."""
    points = [(min(n, 8) * 100.0, 0.01 * max(1, n / 8)) for n in (1, 2, 4, 8, 16, 32)]
    assert load_curve.knee(points) == 800


def test_too_few_points_and_a_curve_without_an_end_have_no_knee() -> None:
    assert load_curve.knee([(1, 1), (2, 1)]) is None
    assert load_curve.knee([(1, 1), (2, 1), (3, 1)]) is None


def test_the_most_within_a_bound() -> None:
    points = [(100.0, 0.01), (200.0, 0.02), (300.0, 0.5)]
    assert load_curve.most_within(points, bound=0.1) == 200
    assert load_curve.most_within(points, bound=0.001) is None
