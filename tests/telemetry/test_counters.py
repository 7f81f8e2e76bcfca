"""Energy over a window from counters that wrap around and from powers."""

import numpy as np
import pytest

from tfperf.telemetry import counters

SECOND = 10**9
AT_NS = np.arange(4) * SECOND


@pytest.mark.parametrize(
    ("readings", "window_s", "expected"),
    [
        ([10, 20, 30, 50], (0, 3), 40),
        ([10, 20, 30, 50], (0.5, 2.5), 5 + 10 + 10),
        ([10, 20, 5, 15], (0, 3), 10 + 15 + 10),  # wraps at 30
        ([29, 1, 29, 1], (0, 3), 2 + 28 + 2),
        ([10, np.nan, 30, 50], (0, 3), 40),
        ([7, 7, 7, 7], (1, 2), 0),
    ],
)
def test_a_counter_is_unwrapped_and_interpolated(readings, window_s, expected):
    begin_ns, end_ns = (round(each * SECOND) for each in window_s)
    found = counters.of_counter(AT_NS, np.array(readings, float), span=30.0, begin_ns=begin_ns, end_ns=end_ns)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("readings", "window_s", "message"),
    [
        ([10, 20, 5, 15], (0, 3), "its counter went backwards, so it was reset during the window"),
        ([10, 20, 30, 50], (-0.5, 3), "its first reading came 0.5 s after the window began"),
        ([10, 20, 30, np.nan], (0, 3), "its last reading came 1 s before the window ended"),
        ([np.nan] * 4, (0, 3), "it was never read"),
    ],
)
def test_what_the_readings_do_not_tell_is_no_energy(readings, window_s, message):
    begin_ns, end_ns = (round(each * SECOND) for each in window_s)
    with pytest.raises(counters.NoEnergyError, match=f"^{message}$"):
        counters.of_counter(AT_NS, np.array(readings, float), span=None, begin_ns=begin_ns, end_ns=end_ns)


def test_a_reset_outside_of_the_window_does_not_matter():
    readings = np.array([10, 5, 6, 7], float)
    assert counters.of_counter(AT_NS, readings, span=None, begin_ns=SECOND, end_ns=3 * SECOND) == 2


def test_a_gap_that_may_hide_a_second_wrap_is_refused():
    at_ns = np.array([0, 60 * SECOND])
    counters.require_dense(at_ns, span_joules=262_143.0, begin_ns=0, end_ns=60 * SECOND)
    with pytest.raises(counters.NoEnergyError, match=r"no reading was made for 60 s, .*\(every 65,532 J\)$"):
        counters.require_dense(at_ns, span_joules=65_532.0, begin_ns=0, end_ns=60 * SECOND)


def test_power_is_integrated_by_trapezoids_and_cut_at_the_window():
    watts = np.array([100, 200, 200, 100], float)
    found = counters.of_power(AT_NS, watts, begin_ns=SECOND // 2, end_ns=5 * SECOND // 2, most_gap_s=1.5)
    assert found == pytest.approx((150 + 200) / 2 * 0.5 + 200 + (200 + 150) / 2 * 0.5)
    with pytest.raises(counters.NoEnergyError, match=r"^its power was not read for 1 s; gaps of at most 0\.5 s are"):
        counters.of_power(AT_NS, watts, begin_ns=0, end_ns=3 * SECOND, most_gap_s=0.5)
