"""Comparisons of runs: the verdicts, and how often they are right in simulation."""

import dataclasses

import numpy as np
import pytest

from tfperf.analysis import comparison
from tfperf.analysis.ratio import RunValue

P99 = comparison.ComparedMetric(name="p99", unit="ms", threshold=0.1)
RATE = comparison.ComparedMetric(name="throughput", unit="samples/s", higher_is_better=True, threshold=0.05)
STEADY_RUNS = (10.0, 10.1, 9.9, 10.05, 9.95)


def sides(metric, baseline, candidate):
    runs = [tuple(RunValue(value=float(value)) for value in side) for side in (baseline, candidate)]
    return comparison.ComparedSides(metric=metric, baseline=runs[0], candidate=runs[1])


def verdict(metric, baseline, candidate):
    (found,) = comparison.compare([sides(metric, baseline, candidate)]).metrics
    return found


def times(values, factor):
    return [factor * value for value in values]


def test_holm_gives_the_values_of_a_published_example():
    # R, p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert comparison.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparison.holm([None, 0.5, 0.9]) == [None, 1.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "factor", "expected"),
    [
        (P99, 1.2, "REGRESSION"),
        (P99, 0.8, "IMPROVED"),
        (P99, 1.0, "UNCHANGED"),
        (RATE, 0.8, "REGRESSION"),
        (RATE, 1.2, "IMPROVED"),
        (RATE, 1.0, "UNCHANGED"),
    ],
)
def test_worse_is_higher_for_a_latency_and_lower_for_a_throughput(metric, factor, expected):
    found = verdict(metric, STEADY_RUNS, times(STEADY_RUNS, factor))
    assert (found.verdict, found.further_runs) == (expected, None)
    assert found.low <= found.ratio <= found.high
    assert found.ratio == pytest.approx(factor)


def test_runs_that_differ_too_much_are_inconclusive_with_the_number_of_further_runs():
    spread = (10.0, 13.0, 8.0, 11.0, 9.0)
    found = verdict(P99, spread, times(spread, 1.05))
    assert found.verdict == "INCONCLUSIVE"
    assert found.further_runs is None or found.further_runs > 5
    assert "The runs differ too much to decide about 10 %." in found.because


def test_further_runs_would_decide():
    random = np.random.default_rng(3)
    first, second = np.exp(random.normal(0, 0.08, 5)), np.exp(random.normal(0.0, 0.08, 5))
    found = verdict(P99, first, second)
    assert found.verdict == "INCONCLUSIVE"
    assert found.further_runs is not None
    count = 2 * (5 + found.further_runs)  # the number is an estimate
    first, second = np.exp(random.normal(0, 0.08, count)), np.exp(random.normal(0.0, 0.08, count))
    assert verdict(P99, first, second).verdict == "UNCHANGED"


def test_one_run_against_one_is_suspect_at_most():
    run = RunValue(value=10.0, low=9.9, high=10.1)
    slow = RunValue(value=15.0, low=14.9, high=15.1)
    for candidate, expected in ((slow, "SUSPECT"), (run, "INCONCLUSIVE")):
        pair = comparison.ComparedSides(metric=P99, baseline=(run,), candidate=(candidate,))
        assert comparison.compare([pair]).verdict == expected
    assert verdict(P99, [10], [15]).verdict == "INCONCLUSIVE"
    assert verdict(P99, [10], [15]).low is None


def test_one_run_against_a_history_is_held_to_what_one_more_run_may_be():
    history = times(STEADY_RUNS, 1.0) * 2
    assert verdict(P99, history, [12]).verdict == "SUSPECT"
    assert verdict(P99, times((8, 12, 9, 11, 10), 1.0), [12]).verdict == "INCONCLUSIVE"


def test_the_most_serious_gated_metric_decides():
    slower, same = times(STEADY_RUNS, 1.3), STEADY_RUNS
    both = [sides(P99, same, slower), sides(RATE, same, same)]
    assert comparison.compare(both).verdict == "REGRESSION"
    advisory = dataclasses.replace(P99, gated=False)
    found = comparison.compare([sides(advisory, same, slower), sides(RATE, same, same)])
    assert (found.verdict, found.metrics[0].verdict) == ("UNCHANGED", "REGRESSION")


def test_values_without_any_spread_are_compared_exactly():
    assert verdict(P99, [7] * 5, [7] * 5).verdict == "UNCHANGED"
    assert verdict(P99, [7] * 5, [8] * 5).verdict == "REGRESSION"


def test_the_same_runs_get_the_same_verdict():
    assert verdict(P99, STEADY_RUNS, times(STEADY_RUNS, 1.1)) == verdict(P99, STEADY_RUNS, times(STEADY_RUNS, 1.1))


def test_in_simulation_intervals_hold_the_truth_and_noise_is_no_regression():
    random = np.random.default_rng(1)
    verdicts, held, count = {}, 0, 300
    for slower in (0.0, 0.1, 0.2):
        found = []
        for _ in range(count):
            logs = random.normal(0, 0.03, (2, 5)) + np.log1p([[0.0], [-slower]])
            (each,) = comparison.compare([sides(RATE, *np.exp(logs))]).metrics
            held += each.low <= 1 - slower <= each.high
            found.append(each.verdict)
        verdicts[slower] = found
    assert 0.93 < held / (3 * count) < 0.97
    assert verdicts[0.0].count("REGRESSION") <= 0.05 * count
    assert verdicts[0.1].count("UNCHANGED") == 0
    assert verdicts[0.2].count("REGRESSION") >= 0.85 * count


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: comparison.compare([]), "No metric is gated, so nothing decides the comparison."),
        (lambda: sides(P99, [], [1]), "The baseline has no run with p99. Give at least one."),
        (lambda: sides(P99, [1], [0]), "p99 of the candidate must be finite and above 0 to have a ratio, got 0.0."),
        (lambda: dataclasses.replace(P99, threshold=10), "threshold of p99 must be between 0 and 1, got 10."),
    ],
)
def test_names_what_is_wrong(act, message):
    with pytest.raises(ValueError, match=message):
        act()
