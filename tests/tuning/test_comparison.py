"""An improvement counts as far as it is beyond what seeds do."""

import pytest

from tfperf.tuning.comparison import compare


def test_the_interval_is_that_of_welchs_t_test() -> None:
    found = compare([0.70, 0.72, 0.71], [0.80, 0.82, 0.81], direction="max")
    assert found.improvement == pytest.approx(0.10)
    # scipy.stats.ttest_ind(best, default, equal_var=False).confidence_interval()
    assert (found.low, found.high) == (pytest.approx(0.07733, abs=1e-5), pytest.approx(0.12267, abs=1e-5))
    assert found.beyond_noise


def test_less_is_better_where_time_is_the_objective() -> None:
    found = compare([20.0, 21.0], [10.0, 10.5], direction="min")
    assert found.improvement == pytest.approx(10.25)


def test_a_difference_within_the_noise_is_none() -> None:
    assert not compare([0.70, 0.80, 0.75], [0.72, 0.83, 0.76], direction="max").beyond_noise


def test_a_run_without_an_objective_leaves_the_difference_unknown() -> None:
    found = compare([None, 20.0], [10.0, 10.5], direction="min")
    assert (found.improvement, found.low, found.beyond_noise) == (None, None, False)
    assert found.default == (None, 20.0)
