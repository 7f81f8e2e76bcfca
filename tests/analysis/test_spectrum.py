"""The long-run variance of dependent series against what theory says of them."""

import numpy as np
import pytest

from tfperf.analysis import spectrum


def ar1(correlation, *, length, runs, seed=0):
    random = np.random.default_rng(seed)
    noise = random.standard_normal((length, runs)) * np.sqrt(1 - correlation**2)
    for step in range(1, length):
        noise[step] += correlation * noise[step - 1]
    return noise.T


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.5])
@pytest.mark.parametrize("length", [3000, 40_000])
def test_the_inflation_is_that_of_an_autoregressive_series(correlation, length):
    found = [spectrum.long_run(each).inflation for each in ar1(correlation, length=length, runs=200)]
    expected = (1 + correlation) / (1 - correlation)
    assert np.mean(found) == pytest.approx(expected, rel=0.15)


def test_the_constants_are_those_of_the_paper():
    # Table I of Heidelberger & Welch (1981) for K = 50 and a polynomial of degree 2: C1 = 0.941, C2 = 16.
    found = spectrum.long_run(np.random.default_rng(0).standard_normal(1000))
    error = np.log1p(2 / found.freedom)
    assert np.exp(-error / 2) == pytest.approx(0.941, abs=0.001)
    assert found.freedom == pytest.approx(16, abs=0.5)


def test_a_short_series_is_taken_as_independent():
    assert spectrum.long_run(np.arange(7)) == spectrum.LongRun(inflation=1.0, freedom=float("inf"))
