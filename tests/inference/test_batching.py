"""The rule of dynamic batching, on a clock that is only a number."""

import collections
import math

import numpy as np
import pytest

from tfperf.inference.batching import PATIENCE, Batch, Policy

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
LINEAR = {size: 1000.0 * size for size in SIZES}
CNN = {size: 400.0 + 600.0 * size for size in SIZES}  # resnet50_mini on two cores looks like this
FLAT = {size: 1000.0 + size for size in SIZES}


def simulate(execution_ns, *, rate, bound_ns=10_000.0, samples=20_000, seed=1):
    """Latencies of Poisson arrivals at `rate` of the Offline rate, and the batch sizes that ran, one executor."""
    policy = Policy(execution_ns=execution_ns, bound_ns=bound_ns)
    gap_ns = 1 / (rate * max(size / time for size, time in execution_ns.items()))
    arrivals = collections.deque(np.cumsum(np.random.default_rng(seed).exponential(gap_ns, samples)))
    now, on_time, late, latencies, sizes = 0.0, [], [], [], []
    while arrivals or on_time or late:
        if not on_time and not late:
            now = max(now, arrivals[0])
        while arrivals and arrivals[0] <= now:
            on_time.append(arrivals.popleft())
        hopeless = policy.late(on_time, now_ns=now)
        late += on_time[:hopeless]
        del on_time[:hopeless]
        batch = policy.choose(on_time, late, now_ns=now)
        now += execution_ns[batch.size]
        run = slice(batch.first, batch.first + batch.count)
        done = on_time[run] + late[: batch.late]
        assert 0 < len(done) <= batch.size
        latencies += [now - arrival for arrival in done]
        sizes.append(batch.size)
        del on_time[run], late[: batch.late]
    return np.array(latencies), np.array(sizes)


@pytest.mark.parametrize(
    ("execution_ns", "rate"), [(LINEAR, 0.80), (CNN, 0.75), (FLAT, 0.95)], ids=["linear", "cnn", "flat"]
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p99_is_within_the_bound_at_a_high_share_of_the_offline_rate(execution_ns, rate, seed):
    latencies, _ = simulate(execution_ns, rate=rate, seed=seed)
    assert len(latencies) == 20_000
    assert np.percentile(latencies, 99) <= 10_000


@pytest.mark.parametrize("execution_ns", [LINEAR, CNN], ids=["linear", "cnn"])
def test_a_low_rate_is_answered_at_once_without_padding(execution_ns):
    latencies, sizes = simulate(execution_ns, rate=0.02)
    assert np.median(latencies) == pytest.approx(execution_ns[1])
    assert np.mean(sizes == 1) > 0.95


def test_no_sample_starves_in_a_long_overload():
    latencies, _ = simulate(LINEAR, rate=1.05, samples=5_000)
    backlog = 5_000 * 1_000 * 0.05  # what is left over by then, in time
    assert len(latencies) == 5_000
    assert latencies.max() < 2 * backlog + PATIENCE * 10_000


def test_pads_only_where_that_answers_more_in_the_time():
    waiting = [0.0] * 5
    flat = Policy(execution_ns={1: 1000.0, 4: 1100.0, 8: 1200.0}, bound_ns=10_000)
    linear = Policy(execution_ns={1: 1000.0, 4: 3900.0, 8: 7900.0}, bound_ns=10_000)
    assert flat.choose(waiting, [], now_ns=0) == Batch(size=8, first=0, count=5, late=0)
    assert linear.choose(waiting, [], now_ns=0) == Batch(size=4, first=0, count=4, late=0)
    assert linear.choose(waiting[:1], [], now_ns=0) == Batch(size=1, first=0, count=1, late=0)


def test_the_late_fill_padding_and_do_not_delay_those_that_can_be_on_time():
    policy = Policy(execution_ns={4: 1000.0}, bound_ns=2_000)
    issued = [0, 100, 1500, 1600]
    late = policy.late(issued, now_ns=1650)
    assert late == 2
    assert policy.choose(issued[late:], issued[:late], now_ns=1650) == Batch(size=4, first=0, count=2, late=2)
    assert policy.choose([1500] * 4, [0], now_ns=1650) == Batch(size=4, first=0, count=4, late=0)


def test_a_larger_size_that_takes_hardly_longer_takes_late_samples_along():
    policy = Policy(execution_ns=FLAT, bound_ns=10_000)
    assert policy.choose([19_000] * 3, [0] * 10, now_ns=19_000) == Batch(size=16, first=0, count=3, late=10)


def test_a_late_sample_goes_first_once_it_is_very_old():
    policy = Policy(execution_ns={2: 1000.0}, bound_ns=2_000)
    now = PATIENCE * 2_000 + 1
    assert policy.choose([now] * 5, [0], now_ns=now) == Batch(size=2, first=0, count=1, late=1)


def test_late_samples_alone_do_not_occupy_the_model_for_most_of_the_bound():
    policy = Policy(execution_ns={1: 1000.0, 8: 4000.0, 16: 7000.0}, bound_ns=10_000)
    assert policy.choose([], [0] * 100, now_ns=20_000) == Batch(size=8, first=0, count=0, late=8)


def test_a_size_that_is_slower_than_a_larger_one_is_never_used():
    policy = Policy(execution_ns={1: 1500.0, 2: 1000.0}, bound_ns=10_000)
    assert policy.choose([0], [], now_ns=0) == Batch(size=2, first=0, count=1, late=0)


def test_without_a_bound_the_most_answers_a_second_count():
    policy = Policy(execution_ns=CNN)
    assert policy.late([0], now_ns=10**12) == 0
    assert policy.choose([0] * 100, [], now_ns=10**12).size == 64


def test_a_bound_below_every_execution_still_answers():
    policy = Policy(execution_ns={1: 1000.0, 2: 1200.0}, bound_ns=10)
    assert policy.late([0], now_ns=0) == 1
    assert policy.choose([], [0], now_ns=0) == Batch(size=1, first=0, count=0, late=1)


@pytest.mark.parametrize("times", [{}, {0: 1.0}, {1: 0.0}, {1: math.nan}])
def test_refuses_times_that_are_none(times):
    with pytest.raises(ValueError, match="execution_ns must hold a time above 0 for each batch size, got"):
        Policy(execution_ns=times)


def test_refuses_a_bound_of_nothing():
    with pytest.raises(ValueError, match="bound_ns must be above 0, got 0"):
        Policy(execution_ns={1: 1.0}, bound_ns=0)


def test_refuses_to_choose_from_nothing():
    with pytest.raises(ValueError, match="Nothing is waiting"):
        Policy(execution_ns={1: 1.0}).choose([], [], now_ns=0)
