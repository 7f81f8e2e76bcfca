"""Tests of the binomial distribution against sums in whole numbers."""

import fractions
import math

import pytest

from tfperf.analysis import binomial


def exact(successes: int, *, trials: int, percent: int) -> float:
    chance = fractions.Fraction(percent, 100)
    terms = (math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes + 1))
    return float(sum(terms))


@pytest.mark.parametrize("trials", [1, 7, 100, 500])
@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_is_the_sum_of_its_terms(trials, percent):
    for successes in range(0, trials + 1, max(1, trials // 7)):
        found = binomial.cdf(successes, trials=trials, probability=percent / 100)
        assert found == pytest.approx(exact(successes, trials=trials, percent=percent), abs=1e-12)


def test_a_quantile_is_the_first_count_that_is_likely_enough():
    count = binomial.quantile(0.975, trials=1000, probability=0.9)

    assert (
        binomial.cdf(count, trials=1000, probability=0.9)
        >= 0.975
        > binomial.cdf(count - 1, trials=1000, probability=0.9)
    )


def test_millions_of_trials_are_close_to_the_normal_distribution():
    trials, chance = 4_000_000, 0.01
    deviation = math.sqrt(trials * chance * (1 - chance))

    found = binomial.cdf(int(trials * chance - 2 * deviation), trials=trials, probability=chance)
    assert found == pytest.approx(0.02275, abs=3e-4)
