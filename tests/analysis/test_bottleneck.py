"""The verdict of the bottleneck follows where most of the time went, and admits what it does not know."""

import pytest

from tfperf.analysis import bottleneck
from tfperf.analysis.bottleneck import PeakShares, RequestTimes


@pytest.mark.parametrize(
    ("times", "peak", "verdict"),
    [
        ({"lag_ns": 60, "compute_ns": 40}, None, "load generator"),
        ({"queue_ns": 70, "compute_ns": 30}, None, "queueing"),
        ({"queue_ns": 0, "input_ns": 55, "compute_ns": 45}, None, "input"),
        ({"queue_ns": 0, "compute_ns": 90}, None, "inconclusive"),
        ({"queue_ns": 0, "compute_ns": 90}, PeakShares(arithmetic=0.7, copying=0.1), "compute"),
        ({"queue_ns": 0, "compute_ns": 90}, PeakShares(arithmetic=0.1, copying=0.8), "memory"),
        ({"queue_ns": 0, "compute_ns": 90}, PeakShares(arithmetic=0.2, copying=0.1), "inconclusive"),
        ({"queue_ns": 5, "compute_ns": 20}, None, "dispatch"),
        ({"busy": 0.3}, None, "dispatch"),
        ({"queue_ns": 10, "busy": 0.3}, None, "inconclusive"),  # less load than the model answers
        ({"busy": 0.95}, PeakShares(arithmetic=0.6, copying=0.1), "compute"),
        ({}, None, "inconclusive"),
    ],
)
def test_the_part_that_took_most_of_the_time_is_named(times, peak, verdict):
    found = bottleneck.of_requests(RequestTimes(latency_ns=100, **times), window="load", peak=peak)
    assert found.verdict == verdict
    assert found.evidence


def test_the_numbers_are_told():
    times = RequestTimes(latency_ns=4e6, queue_ns=3e6, compute_ns=1e6, busy=0.9)
    found = bottleneck.of_requests(times, window="load", peak=PeakShares(arithmetic=0.41, copying=0.2))
    assert found.evidence == (
        "requests waited for a free instance for most of their latency",
        "of a mean latency of 4 ms: queue 75%, model 25%",
        "instances computed 90% of the time",
        "while it computed, at least 41% of the measured matmul peak and 20% of the copy peak",
    )


@pytest.mark.parametrize(("share", "verdict"), [(0.7, "input"), (0.2, "inconclusive")])
def test_training_is_limited_by_input_if_steps_wait_for_it(share, verdict):
    found = bottleneck.of_training(input_share=share, window="training", run_cpu_percent=80.0, step_s=0.01)
    assert found.verdict == verdict
    assert found.evidence[:2] == (
        f"input took {100 * share:.0f}% of the 10 ms of a step",
        "the run used 80 % of the processor time of its host",
    )
