"""The rule of dynamic batching, on a clock that is only a number."""

import collections
import math

import numpy as np
import pytest

from tfperf.inference.batching import PATIENCE, PlannedBatch, Policy, Waiting, most_efficient
from tfperf.inference.executable import Bucket

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
LINEAR = {size: 1000.0 * size for size in SIZES}
CNN = {size: 400.0 + 600.0 * size for size in SIZES}  # resnet50_mini on two cores looks like this
FLAT = {size: 1000.0 + size for size in SIZES}


def policy_of(execution_ns, **bound):
    """The policy of a model without lengths."""
    return Policy({Bucket(size): time for size, time in execution_ns.items()}, **bound)


def simulate(execution_ns, *, rate, bound_ns=10_000.0, samples=20_000, seed=1):
    """Latencies of Poisson arrivals at `rate` of the Offline rate, and the batch sizes that ran, one executor."""
    policy = policy_of(execution_ns, bound_ns=bound_ns)
    gap_ns = 1 / (rate * max(size / time for size, time in execution_ns.items()))
    arrivals = collections.deque(np.cumsum(np.random.default_rng(seed).exponential(gap_ns, samples)))
    now, on_time, late, latencies, sizes = 0.0, [], [], [], []
    while arrivals or on_time or late:
        if not on_time and not late:
            now = max(now, arrivals[0])
        while arrivals and arrivals[0] <= now:
            on_time.append(arrivals.popleft())
        too_late = policy.late(on_time, now_ns=now)
        late += on_time[:too_late]
        del on_time[:too_late]
        batch = policy.choose([Waiting(on_time, late)], now_ns=now)
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
    flat = policy_of({1: 1000.0, 4: 1100.0, 8: 1200.0}, bound_ns=10_000)
    linear = policy_of({1: 1000.0, 4: 3900.0, 8: 7900.0}, bound_ns=10_000)
    assert flat.choose([Waiting(waiting, [])], now_ns=0) == PlannedBatch(size=8, first=0, count=5, late=0)
    assert linear.choose([Waiting(waiting, [])], now_ns=0) == PlannedBatch(size=4, first=0, count=4, late=0)
    assert linear.choose([Waiting(waiting[:1], [])], now_ns=0) == PlannedBatch(size=1, first=0, count=1, late=0)


def test_the_late_fill_padding_and_do_not_delay_those_that_can_be_on_time():
    policy = policy_of({4: 1000.0}, bound_ns=2_000)
    issued = [0, 100, 1500, 1600]
    late = policy.late(issued, now_ns=1650)
    assert late == 2
    assert policy.choose([Waiting(issued[late:], issued[:late])], now_ns=1650) == PlannedBatch(
        size=4, first=0, count=2, late=2
    )
    assert policy.choose([Waiting([1500] * 4, [0])], now_ns=1650) == PlannedBatch(size=4, first=0, count=4, late=0)


def test_a_larger_size_that_takes_hardly_longer_takes_late_samples_along():
    policy = policy_of(FLAT, bound_ns=10_000)
    assert policy.choose([Waiting([19_000] * 3, [0] * 10)], now_ns=19_000) == PlannedBatch(
        size=16, first=0, count=3, late=10
    )


def test_a_late_sample_goes_first_once_it_is_very_old():
    policy = policy_of({2: 1000.0}, bound_ns=2_000)
    now = PATIENCE * 2_000 + 1
    assert policy.choose([Waiting([now] * 5, [0])], now_ns=now) == PlannedBatch(size=2, first=0, count=1, late=1)


def test_late_samples_alone_do_not_occupy_the_model_for_most_of_the_bound():
    policy = policy_of({1: 1000.0, 8: 4000.0, 16: 7000.0}, bound_ns=10_000)
    assert policy.choose([Waiting([], [0] * 100)], now_ns=20_000) == PlannedBatch(size=8, first=0, count=0, late=8)


def test_a_size_that_is_slower_than_a_larger_one_is_never_used():
    policy = policy_of({1: 1500.0, 2: 1000.0}, bound_ns=10_000)
    assert policy.choose([Waiting([0], [])], now_ns=0) == PlannedBatch(size=2, first=0, count=1, late=0)


def test_without_a_bound_the_most_answers_a_second_count():
    policy = policy_of(CNN)
    assert policy.late([0], now_ns=10**12) == 0
    assert policy.choose([Waiting([0] * 100, [])], now_ns=10**12).size == 64


def test_a_bound_below_every_execution_still_answers():
    policy = policy_of({1: 1000.0, 2: 1200.0}, bound_ns=10)
    assert policy.late([0], now_ns=0) == 1
    assert policy.choose([Waiting([], [0])], now_ns=0) == PlannedBatch(size=1, first=0, count=0, late=1)


@pytest.mark.parametrize("times", [{}, {0: 1.0}, {1: 0.0}, {1: math.nan}])
def test_refuses_times_that_are_none(times):
    with pytest.raises(ValueError, match="execution_ns must hold a time above 0 for each bucket, got"):
        policy_of(times)


def test_refuses_a_bound_of_nothing():
    with pytest.raises(ValueError, match="bound_ns must be above 0, got 0"):
        policy_of({1: 1.0}, bound_ns=0)


def simulate_lengths(times, *, weights, rate, bound_ns=10_000.0, samples=20_000, seed=1, fills=True):
    """Latencies by length for Poisson arrivals at `rate` of the Offline rate, one executor.

    Without `fills`, shorter samples wait for batches of their own.
    """
    lengths = tuple(times)
    policy = Policy(
        {Bucket(size, length): time for length, sizes in times.items() for size, time in sizes.items()},
        bound_ns=bound_ns,
    )
    cost_ns = [min(time / size for size, time in sizes.items()) for sizes in times.values()]
    random = np.random.default_rng(seed)
    gap_ns = np.dot(cost_ns, weights) / rate
    arrivals = collections.deque(np.cumsum(random.exponential(gap_ns, samples)))
    drawn = collections.deque(random.choice(len(lengths), samples, p=weights))
    waiting, latencies, now = [Waiting([], []) for _ in lengths], [[] for _ in lengths], 0.0
    while arrivals or any(map(any, waiting)):
        if not any(map(any, waiting)):
            now = max(now, arrivals[0])
        while arrivals and arrivals[0] <= now:
            waiting[drawn.popleft()].on_time.append(arrivals.popleft())
        for index, (on_time, late) in enumerate(waiting):
            too_late = policy.late(on_time, now_ns=now, length_index=index)
            late += on_time[:too_late]
            del on_time[:too_late]
        batch = policy.choose(waiting, now_ns=now)
        on_time, late = waiting[batch.length_index]
        now += times[lengths[batch.length_index]][batch.size]
        run = slice(batch.first, batch.first + batch.count)
        done = on_time[run] + late[: batch.late]
        assert 0 < len(done) + sum(count for _, count in batch.shorter) <= batch.size
        latencies[batch.length_index] += [now - arrival for arrival in done]
        del on_time[run], late[: batch.late]
        for index, count in batch.shorter if fills else ():
            latencies[index] += [now - arrival for arrival in waiting[index].on_time[:count]]
            del waiting[index].on_time[:count]
    return [np.array(each) for each in latencies]


SHORT_AND_LONG = {64: {size: 100.0 + 150.0 * size for size in SIZES}, 256: CNN}


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.98, 0.02)], ids=["as many", "rare"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lengths_keep_the_bound_at_a_high_share_of_the_offline_rate(weights, seed):
    short, long = simulate_lengths(SHORT_AND_LONG, weights=weights, rate=0.7, seed=seed)
    assert len(short) + len(long) == 20_000
    assert np.percentile(np.concatenate([short, long]), 99) <= 10_000
    assert np.percentile(long, 95) <= 10_000  # a rare length is not left for later


def test_a_rare_length_does_not_starve_in_a_long_overload():
    short, long = simulate_lengths(SHORT_AND_LONG, weights=(0.98, 0.02), rate=1.05, samples=5_000)
    assert len(short) + len(long) == 5_000
    assert np.median(long) <= 10_000
    assert max(short.max(), long.max()) < PATIENCE * 10_000


def test_the_length_with_the_least_time_to_spare_goes_first():
    policy = Policy({Bucket(1, 8): 1000.0, Bucket(4, 8): 2000.0, Bucket(1, 32): 4000.0}, bound_ns=10_000)
    assert policy.lengths == (8, 32)
    chosen = policy.choose([Waiting([0, 100], []), Waiting([2000], [])], now_ns=2500)
    assert chosen == PlannedBatch(size=1, first=0, count=1, late=0, length_index=1)
    chosen = policy.choose([Waiting([0, 100], []), Waiting([4000], [])], now_ns=4500)
    assert chosen.length_index == 0
    chosen = policy.choose([Waiting([], [50]), Waiting([], [20])], now_ns=20_000)
    assert chosen == PlannedBatch(size=1, first=0, count=0, late=1, length_index=1)
    old = PATIENCE * 10_000 + 100
    assert policy.choose([Waiting([old], []), Waiting([], [20])], now_ns=old).length_index == 1


def test_shorter_samples_fill_the_padding_oldest_first():
    policy = Policy({Bucket(4, 8): 1000.0, Bucket(4, 16): 1900.0, Bucket(4, 32): 3000.0}, bound_ns=100_000)
    waiting = [Waiting([20, 30, 40], []), Waiting([50], []), Waiting([0], [])]
    assert policy.choose(waiting, now_ns=60) == PlannedBatch(
        size=4, first=0, count=1, late=0, length_index=2, shorter=((1, 1), (0, 2))
    )


def test_shorter_samples_come_along_in_a_larger_batch_only_where_that_takes_less_time():
    gpu = {Bucket(size, length): 1000.0 + size for length in (8, 32) for size in SIZES}
    processor = {Bucket(size, length): 100.0 + size * length * 10 for length in (8, 32) for size in SIZES}
    waiting = [Waiting([20, 30, 40], []), Waiting([0], [])]
    together, alone = (Policy(times, bound_ns=10_000).choose(waiting, now_ns=60) for times in (gpu, processor))
    assert together == PlannedBatch(size=4, first=0, count=1, late=0, length_index=1, shorter=((0, 3),))
    assert alone == PlannedBatch(size=1, first=0, count=1, late=0, length_index=1)


def test_a_larger_batch_for_shorter_samples_does_not_make_the_oldest_late():
    times = {Bucket(1, 8): 1000.0, Bucket(1, 32): 1000.0, Bucket(4, 32): 1500.0}
    policy, waiting = Policy(times, bound_ns=10_000), [Waiting([8000] * 3, []), Waiting([0], [])]
    assert policy.choose(waiting, now_ns=7_900).size == 4
    assert policy.choose(waiting, now_ns=8_100).size == 1


SMALL_BATCHES_COST_AS_MUCH = {
    length: {size: 1000.0 + 0.1 * size * length for size in SIZES} for length in (64, 128, 192, 256, 320, 384)
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lists_that_are_served_together_keep_the_bound_at_a_rate_at_which_they_would_not_alone(seed):
    settings = {"weights": (1 / 6,) * 6, "rate": 0.6, "bound_ns": 15_000.0, "seed": seed}
    together, alone = (
        np.concatenate(simulate_lengths(SMALL_BATCHES_COST_AS_MUCH, fills=fills, **settings)) for fills in (True, False)
    )
    assert np.percentile(together, 99) <= 15_000
    assert np.percentile(alone, 99) > np.percentile(together, 99)


def test_knows_the_most_efficient_bucket_of_each_length():
    times = {Bucket(1, 8): 10.0, Bucket(4, 8): 20.0, Bucket(1, 32): 30.0, Bucket(2, 32): 70.0}
    assert most_efficient(times) == {8: Bucket(4, 8), 32: Bucket(1, 32)}


def test_refuses_to_choose_from_nothing():
    with pytest.raises(ValueError, match="Nothing is waiting"):
        policy_of({1: 1.0}).choose([Waiting([], [])], now_ns=0)
