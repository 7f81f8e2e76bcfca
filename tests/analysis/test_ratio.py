"""Ratios of repeated runs: their tests and intervals against SciPy, and which of them is used when."""

import math

import numpy as np
import pytest

from tfperf.analysis import ratio
from tfperf.analysis.ratio import RunValue


def runs(values, started=None):
    times = [None] * len(values) if started is None else started
    return [RunValue(value=float(value), started_s=at) for value, at in zip(values, times, strict=True)]


def test_welch_is_that_of_scipy():
    scipy_stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    for count, other in ((2, 5), (5, 5), (9, 3)):
        first, second = random.normal(0, 1, count), random.normal(0.5, 3, other)
        expected = scipy_stats.ttest_ind(second, first, equal_var=False)
        error, freedom, p = ratio.welch(first, second)
        assert p == pytest.approx(expected.pvalue, rel=1e-8)
        assert freedom == pytest.approx(expected.df)
        assert error == pytest.approx((second.mean() - first.mean()) / expected.statistic)
        found = ratio.estimate(runs(np.exp(first)), runs(np.exp(second)))
        interval = expected.confidence_interval(0.95)
        assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_runs_that_alternated_are_paired_as_by_scipy():
    scipy_stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    levels = np.cumsum(random.normal(0, 0.1, 6))
    first, second = np.exp(levels + random.normal(0, 0.01, 6)), np.exp(levels + random.normal(0.05, 0.01, 6))
    turns = [(0, 1), (3, 2), (4, 5), (7, 6), (8, 9), (11, 10)]  # ABBA
    found = ratio.estimate(runs(first, [turn[0] for turn in turns]), runs(second, [turn[1] for turn in turns]))
    expected = scipy_stats.ttest_rel(np.log(second), np.log(first))
    interval = expected.confidence_interval(0.95)
    assert found.method == "paired"
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8)
    apart = ratio.estimate(runs(first), runs(second))  # the same runs, with the drift of the machine in both sides
    assert found.high - found.low < 0.5 * (apart.high - apart.low)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)),
        ((0, 2, 4, 6, 8), (1, 3, 5, 7, None)),
        ((0, 2, 4, 6, 8), (0, 3, 5, 7, 9)),  # two began at one time
        ((0, 3, 4, 7), (1, 2, 5, 6)),  # too few pairs
        ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9, 10)),
    ],
)
def test_other_runs_are_not_paired(first, second):
    values = np.linspace(1, 2, 6)
    assert ratio.estimate(runs(values[: len(first)], first), runs(values[: len(second)], second)).method == "Welch"


def test_one_run_against_one_combines_their_own_intervals():
    first, second = RunValue(value=10, low=9, high=11), RunValue(value=20, low=19, high=22)
    found = ratio.estimate([first], [second])
    assert (found.method, found.p) == ("within the runs", None)
    assert found.log_ratio - found.low == pytest.approx(math.hypot(math.log(20 / 19), math.log(11 / 10)))
    assert found.high - found.log_ratio == pytest.approx(math.hypot(math.log(22 / 20), math.log(10 / 9)))
    assert ratio.estimate([first], [RunValue(value=20)]).method == "unknown"


def test_one_run_against_several_has_the_limits_for_one_more_run():
    scipy_stats = pytest.importorskip("scipy.stats")
    logs = np.log([10.0, 10.2, 9.9, 10.4])
    found = ratio.estimate(runs(np.exp(logs)), runs([11]))
    reach = scipy_stats.t.ppf(0.975, 3) * logs.std(ddof=1) * math.sqrt(1 + 1 / 4)
    assert (found.low, found.high) == pytest.approx((found.log_ratio - reach, found.log_ratio + reach))
    assert ratio.estimate(runs([10, 11]), runs([11])).method == "unknown"
