"""The typical value over runs, against SciPy."""

import numpy as np
import pytest

from tfperf.analysis import across_runs


def test_the_interval_is_that_of_scipy():
    scipy_stats = pytest.importorskip("scipy.stats")
    values = [10.0, 11.0, 9.5, 10.2]
    found = across_runs.typical(values)
    expected = scipy_stats.ttest_1samp(np.log(values), 0).confidence_interval(0.95)
    assert found.value == pytest.approx(scipy_stats.gmean(values))
    assert (found.low, found.high) == (pytest.approx(np.exp(expected.low)), pytest.approx(np.exp(expected.high)))


def test_a_single_run_has_no_interval():
    assert across_runs.typical([7.0]) == across_runs.Typical(value=pytest.approx(7.0), low=None, high=None, runs=1)
