"""What each scenario compares forms by, with and without lengths."""

import pytest

from tfperf import spec
from tfperf.inference import objective
from tfperf.inference.executable import Bucket


@pytest.mark.parametrize(
    ("scenario", "sizes", "cost"),
    [
        (spec.SingleStream(), (1,), 10.0),
        (spec.MultiStream(samples_per_query=6), (6,), 20.0),
        (spec.Server(), (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), 5.0),
        (spec.Offline(), (1, 4, 16, 64), 5.0),
    ],
)
def test_what_a_scenario_needs(scenario: spec.Scenario, sizes: tuple[int, ...], cost: float) -> None:
    assert objective.buckets_for(scenario) == tuple(map(Bucket, sizes))
    assert objective.buckets_for(scenario, batch_sizes=(3,)) == (Bucket(3),)
    execution_ns = {
        Bucket(3): 15.0,
        Bucket(6): 20.0 if sizes == (6,) else 40.0,
    }
    assert objective.cost_ns(scenario, {Bucket(1): 10.0} if sizes == (1,) else execution_ns) == cost


def test_every_batch_size_is_tried_at_every_length() -> None:
    assert objective.buckets_for(spec.Offline(), lengths=(128, 384), batch_sizes=(1, 8)) == (
        Bucket(1, 128),
        Bucket(1, 384),
        Bucket(8, 128),
        Bucket(8, 384),
    )


def test_with_several_lengths_a_multistream_query_may_be_split_and_server_has_fewer_sizes() -> None:
    def sizes(scenario: spec.Scenario, *lengths: int) -> tuple[int, ...]:
        found = objective.buckets_for(scenario, lengths=lengths)
        assert {bucket.length for bucket in found} == set(lengths)
        return tuple(sorted({bucket.batch for bucket in found}))

    assert sizes(spec.MultiStream(samples_per_query=6), 128, 384) == (1, 2, 4, 6)
    assert sizes(spec.MultiStream(samples_per_query=8), 128) == (8,)
    assert sizes(spec.Server(), 128, 384) == (1, 2, 4, 8, 16, 32, 64)


def test_lengths_count_by_their_share_of_the_samples() -> None:
    execution_ns = {Bucket(1, 4): 10.0, Bucket(2, 4): 12.0, Bucket(1, 8): 30.0}
    shares: dict[int | None, float] = {4: 0.75, 8: 0.25}
    assert objective.cost_ns(spec.Offline(), execution_ns, length_shares=shares) == 0.75 * 6 + 0.25 * 30
    assert objective.cost_ns(spec.SingleStream(), execution_ns, length_shares=shares) == 0.75 * 10 + 0.25 * 30
    assert objective.cost_ns(spec.Server(), execution_ns) == (6 + 30) / 2


def test_server_batches_take_half_the_bound_at_most() -> None:
    assert objective.longest_execution_ns(spec.Server(), latency_bound_ns=15_000_000) == 7_500_000
    assert objective.longest_execution_ns(spec.SingleStream(), latency_bound_ns=15_000_000) is None


def test_offline_serves_no_larger_batches_than_the_most_efficient_of_each_length() -> None:
    times = {Bucket(1, 8): 10.0, Bucket(4, 8): 20.0, Bucket(16, 8): 90.0, Bucket(1, 32): 30.0, Bucket(4, 32): 130.0}
    assert objective.served_buckets(spec.Offline(), times) == (Bucket(1, 8), Bucket(1, 32), Bucket(4, 8))
    assert objective.served_buckets(spec.Server(), times) == tuple(sorted(times))
    assert objective.served_buckets(spec.Offline(), {Bucket(1): 1.0, Bucket(2): 9.0}) == (Bucket(1), Bucket(2))
