"""Tests of early stopping against the numbers that LoadGen prints and MLCommons publishes."""

import numpy as np
import pytest

from tfperf.analysis import early_stopping
from tfperf.stored import figures


@pytest.mark.parametrize(("percentile", "queries"), [(90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_needs_the_queries_that_mlcommons_publishes(percentile, queries):
    assert early_stopping.least_queries(percentile) == queries


def test_a_server_without_a_late_query_needs_459():
    assert early_stopping.least_queries(99, late=0) == 459


def test_190_late_queries_of_190_need_22254_more():
    # From a log of LoadGen 6.0.17: "Processed 190 queries. Would need to run at least 22254 more queries".
    assert early_stopping.least_queries(99, late=190) == 190 + 22254


def test_discards_540_of_5949_as_loadgen_does():
    assert early_stopping.discarded(5949, percentile=90) == 540


@pytest.mark.parametrize("queries", [64, 65, 1000, 123_457])
def test_one_more_late_query_than_discarded_would_not_pass(queries):
    above = early_stopping.discarded(queries, percentile=90)

    assert early_stopping.passes(queries=queries, late=above + 1, percentile=90)
    assert not early_stopping.passes(queries=queries, late=above + 2, percentile=90)


def test_the_bound_is_the_highest_latency_that_is_kept():
    latencies_ns = np.random.default_rng(0).permutation(5949)

    assert early_stopping.bound(latencies_ns, 90) == 5949 - 540 - 1


def test_there_is_no_bound_with_too_few_queries():
    assert early_stopping.bound(np.arange(63), 90) is None
    assert early_stopping.bound(np.arange(64), 90) == 63


def test_no_queries_pass_nothing():
    assert not early_stopping.passes(queries=0, late=0, percentile=99)


@pytest.mark.parametrize("percentile", [0, 100, -1])
def test_refuses_what_is_no_percentile(percentile):
    with pytest.raises(ValueError, match="percentile must be between 0 and 100, got"):
        early_stopping.passes(queries=1, late=0, percentile=percentile)


def test_figures_are_compared_from_as_many_queries_as_early_stopping_needs() -> None:
    # `tfperf.stored` is in the same layer as `tfperf.analysis`, and can't ask it.
    assert {f"p{percent}": early_stopping.least_queries(percent) for percent in (95, 99)} == figures.LEAST_QUERIES
