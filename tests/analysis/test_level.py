"""The level of a series is followed: its limits hold what they promise, and a regression is told from a slow run."""

import numpy as np
import pytest
import scipy.stats

from tfperf.analysis import level
from tfperf.analysis.comparison import ComparedMetric

P99 = ComparedMetric(name="p99", unit="ms", threshold=0.1)
RATE = ComparedMetric(name="throughput", unit="samples/s", higher_is_better=True, threshold=0.05)
CALM = [5.0, 5.05, 4.95, 5.02, 4.98, 5.01, 4.99, 5.03]


def test_the_band_is_the_prediction_interval_of_scipy() -> None:
    logs = np.log(CALM)
    reach = scipy.stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
    found = level.band(CALM)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(np.exp([logs.mean() - reach, logs.mean() + reach]))
    assert (found.middle, found.runs) == (5.0, 8) or found.middle == pytest.approx(np.median(CALM))


@pytest.mark.parametrize("runs", [3, 5, 20])
def test_the_next_run_lies_in_the_band_in_95_of_100_series(runs: int) -> None:
    random = np.random.default_rng(runs)
    values = np.exp(random.normal(0, 0.05, (4000, runs + 1)))
    bands = [level.band(each[:-1]) for each in values]
    inside = [band is not None and band.low <= each[-1] <= band.high for band, each in zip(bands, values, strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_without_a_change_few_runs_are_suspect_and_almost_none_confirmed() -> None:
    random = np.random.default_rng(2)
    found = [level.follow(np.exp(random.normal(0, 0.05, 40)), metric=P99) for _ in range(300)]
    worse = np.mean([[standing == "worse" for standing in each.standings] for each in found])
    assert worse <= 0.025
    assert sum(each.alert == "confirmed" for each in found) == 0
    held = [standing for each in found for standing in each.standings]
    assert held.count("first") == 300 * level.LEAST_RUNS


@pytest.mark.parametrize(("slow", "alert"), [(1, "suspected"), (2, "suspected"), (3, "confirmed"), (5, "confirmed")])
def test_slow_runs_are_suspected_and_then_confirmed(slow: int, alert: str) -> None:
    found = level.follow([*CALM, *[6.0] * (slow - 1), 6.05], metric=P99)
    assert found.alert == alert
    assert found.change == pytest.approx(1.2, rel=0.02)
    assert found.tail == tuple(range(8, 8 + slow))
    assert found.band is not None
    assert found.band.middle == pytest.approx(5.0, rel=0.01)


def test_a_repaired_run_ends_the_alert_and_the_slow_ones_are_no_part_of_the_level() -> None:
    found = level.follow([*CALM, 6.0, 6.05, 6.1, 5.0], metric=P99)
    assert (found.alert, found.tail, found.change) == ("none", (), None)
    assert found.level == (*range(8), 11)


def test_a_single_outlier_widens_the_level() -> None:
    found = level.follow([*CALM, 6.0, 5.0], metric=P99)
    assert (found.alert, found.level) == ("none", tuple(range(10)))


def test_ten_slow_runs_in_succession_are_the_new_level() -> None:
    found = level.follow([*CALM, *[6.0, 6.05] * 5], metric=P99)
    assert (found.alert, found.level) == ("none", tuple(range(8, 18)))


def test_three_faster_runs_are_the_new_level() -> None:
    found = level.follow([*CALM, 4.0, 4.02, 3.98], metric=P99)
    assert (found.alert, found.level) == ("none", (8, 9, 10))


def test_a_rate_is_worse_when_it_falls_and_small_changes_are_tolerated() -> None:
    rates = [1000, 1002, 998, 1001, 999]
    assert level.follow([*rates, 900], metric=RATE).alert == "suspected"
    assert level.follow([*rates, 1100], metric=RATE).alert == "none"
    assert level.follow([*rates, 960], metric=RATE).alert == "none"  # 4 %, and a threshold of 5 %


def test_fewer_than_three_runs_say_nothing() -> None:
    found = level.follow([5.0, 9.0], metric=P99)
    assert (found.alert, found.band, found.standings) == ("none", None, ("first", "first"))
