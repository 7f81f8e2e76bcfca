"""Tests of the percentiles of a run: their intervals hold the truth in about 95 % of runs."""

import math
import statistics

import numpy as np
import pytest

from tfperf.analysis import early_stopping, percentiles

RUNS = 400


def runs(*, correlation: float, queries: int) -> np.ndarray:
    """Log-normal latencies of many runs, [runs, queries], each depending on the one before it: AR(1)."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((queries, RUNS)) * math.sqrt(1 - correlation**2)
    series = np.empty((queries, RUNS))
    series[0] = random.standard_normal(RUNS)
    for query in range(1, queries):
        series[query] = correlation * series[query - 1] + noise[query]
    return np.exp(series.T)


@pytest.mark.parametrize(
    ("correlation", "queries", "percentile"),
    [(0.0, 2000, 50), (0.0, 2000, 90), (0.0, 4000, 99), (0.7, 4000, 50), (0.9, 4000, 90), (0.8, 8000, 99)],
)
def test_intervals_hold_the_truth_in_about_95_percent_of_runs(correlation, queries, percentile):
    truth = math.exp(statistics.NormalDist().inv_cdf(percentile / 100))
    found = [percentiles.percentiles(run, [percentile])[0] for run in runs(correlation=correlation, queries=queries)]

    given = [each for each in found if each.low_ns is not None and each.high_ns is not None]
    held = sum(each.low_ns <= truth <= each.high_ns for each in given)
    assert len(given) > 0.95 * RUNS
    assert 0.92 < held / len(given) < 0.98


def test_intervals_that_ignore_the_neighbours_would_be_too_narrow():
    series = runs(correlation=0.9, queries=4000)[0]
    shuffled = np.random.default_rng(1).permutation(series)

    (dependent,), (independent,) = (percentiles.percentiles(each, [90]) for each in (series, shuffled))
    assert dependent.value_ns == independent.value_ns
    assert dependent.high_ns - dependent.low_ns > 1.5 * (independent.high_ns - independent.low_ns)


def test_the_percentile_is_the_one_that_loadgen_picks():
    found = percentiles.percentiles(np.arange(1000)[::-1])

    assert [(each.percentile, each.value_ns) for each in found] == [
        (50, 500),
        (90, 900),
        (95, 950),
        (99, 990),
        (99.9, 999),
    ]


@pytest.mark.parametrize("percentile", [90, 95, 99])
def test_below_the_floor_of_early_stopping_there_is_no_interval(percentile):
    latencies_ns = np.random.default_rng(0).permutation(early_stopping.least_queries(percentile) - 1)

    (found,) = percentiles.percentiles(latencies_ns, [percentile])
    assert (found.low_ns, found.high_ns) == (None, None)


def test_latencies_that_are_all_the_same_are_known_exactly():
    (found,) = percentiles.percentiles(np.full(2000, 7), [99])

    assert (found.value_ns, found.low_ns, found.high_ns) == (7, 7, 7)


def test_one_latency_is_every_percentile():
    assert {each.value_ns for each in percentiles.percentiles(np.array([5]))} == {5}


def test_no_latencies_have_no_percentile():
    assert percentiles.percentiles(np.zeros(0, np.int64)) == ()


def test_percentiles_among_the_slowest_are_exact_where_rows_are_missing():
    latencies = np.random.default_rng(1).lognormal(size=80_000)
    whole = {each.percentile: each for each in percentiles.percentiles(latencies)}
    spaced = percentiles.percentiles(latencies[::8], slowest_ns=np.sort(latencies)[-1000:], queries=len(latencies))
    for each in spaced:
        expected = whole[each.percentile].value_ns
        assert (each.value_ns == expected) == (each.percentile >= 99)
        assert each.value_ns == pytest.approx(expected, rel=0.05)
        assert each.low_ns <= each.value_ns <= each.high_ns
