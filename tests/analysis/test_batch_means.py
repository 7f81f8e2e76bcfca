"""The precision of a rate within a run: its interval holds the truth in about 95 % of simulated runs."""

import numpy as np
import pytest

from tfperf.analysis import batch_means


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_intervals_hold_the_rate_in_about_95_percent_of_runs(correlation):
    random, runs, executions = np.random.default_rng(5), 400, 2000
    noise = random.standard_normal((executions, runs)) * np.sqrt(1 - correlation**2)
    for execution in range(1, executions):
        noise[execution] += correlation * noise[execution - 1]
    took_ns = 1e6 * np.exp(0.2 * noise.T)
    truth = 1e9 / (1e6 * np.exp(0.2**2 / 2))
    held = 0
    for times in took_ns:
        ended_ns = np.cumsum(times)
        low, high = batch_means.rate(np.ones(executions, np.int64), ended_ns)
        rate = executions / ended_ns[-1] * 1e9
        held += low * rate <= truth <= high * rate
    assert 0.92 < held / runs < 0.98


def test_too_few_executions_have_no_interval():
    assert batch_means.rate(np.ones(199), np.arange(199)) is None
    assert batch_means.rate(np.ones(300), np.zeros(300)) is None
    assert batch_means.rate(np.full(300, 4), np.arange(300)) == (1.0, 1.0)
