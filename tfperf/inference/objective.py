"""What a scenario needs from a compiled form: its buckets, the longest useful execution, the figure to compare by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tfperf import spec
from tfperf.inference.batching import most_efficient
from tfperf.inference.executable import Bucket

# In Server any number of samples may wait: with sizes between the powers of two, the simulated batching policy
# sustains rates 2 to 3 % higher.
_MANY = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_MANY_OF_SEVERAL_LENGTHS = (1, 2, 4, 8, 16, 32, 64)  # shorter samples fill the padding, and each is compiled and timed
_FEW = (1, 4, 16, 64)  # in Offline only the last batch is not full
_OFFLINE_LONGEST_NS = 10**9  # the interval of the progress display, and the most that padding the last batch can cost


def buckets_for(
    scenario: spec.Scenario, *, lengths: Sequence[int] = (), batch_sizes: tuple[int, ...] | None = None
) -> tuple[Bucket, ...]:
    """The buckets to try in a scenario, ascending.

    Args:
        scenario: how samples arrive.
        lengths: the lengths that the model is compiled for; empty if its inputs have none.
        batch_sizes: used in place of the scenario's own.
    """
    sizes = batch_sizes or _batch_sizes(scenario, several_lengths=len(lengths) > 1)
    return tuple(sorted(Bucket(size, length) for size in sizes for length in (tuple(lengths) or (None,))))


def longest_execution_ns(scenario: spec.Scenario, *, latency_bound_ns: int | None = None) -> int | None:
    """The longest useful time of one execution; None if there is no limit.

    In Server it is half of the latency bound, since a sample may have to wait for the batch before its own. In
    SingleStream and MultiStream the scenario sets the batch size, so there is no limit.

    Args:
        scenario: how samples arrive.
        latency_bound_ns: the latency bound in Server; None sets no limit.
    """
    match scenario:
        case spec.Server() if latency_bound_ns is not None:
            return latency_bound_ns // 2
        case spec.Offline():
            return _OFFLINE_LONGEST_NS
    return None


def served_buckets(scenario: spec.Scenario, execution_ns: Mapping[Bucket, float]) -> tuple[Bucket, ...]:
    """The measured buckets that a scenario uses, ascending.

    Each takes time to compile and to warm up, and memory. With several lengths there are dozens of them, so in Offline
    none is served that is larger than the most efficient of its length.
    """
    best = most_efficient(execution_ns)
    if len(best) == 1 or not isinstance(scenario, spec.Offline):
        return tuple(sorted(execution_ns))
    return tuple(sorted(bucket for bucket in execution_ns if bucket.batch <= best[bucket.length].batch))


def cost_ns(
    scenario: spec.Scenario,
    execution_ns: Mapping[Bucket, float],
    *,
    length_shares: Mapping[int | None, float] | None = None,
) -> float:
    """The figure by which forms are compared in a scenario; less is better.

    In SingleStream and MultiStream it is the time to answer a query; in Server and Offline, the time per sample at the
    best batch size. With several lengths it is the mean over the samples.

    Args:
        scenario: how samples arrive.
        execution_ns: time of one execution by bucket.
        length_shares: the share of the samples that is padded to each length; None weights all lengths equally.
    """
    lengths = {bucket.length for bucket in execution_ns}
    shares = length_shares or dict.fromkeys(lengths, 1 / len(lengths))
    return sum(
        share * _cost_ns(scenario, {bucket.batch: time for bucket, time in execution_ns.items() if bucket.length == at})
        for at, share in shares.items()
    )


def _batch_sizes(scenario: spec.Scenario, *, several_lengths: bool) -> tuple[int, ...]:
    match scenario:
        case spec.SingleStream():
            return (1,)
        case spec.MultiStream(samples_per_query=samples):
            # Those of similar length run together.
            smaller = (size for size in _MANY_OF_SEVERAL_LENGTHS if several_lengths and size < samples)
            return (*smaller, samples)
        case spec.Server():
            return _MANY_OF_SEVERAL_LENGTHS if several_lengths else _MANY
        case spec.Offline():
            return _FEW


def _cost_ns(scenario: spec.Scenario, execution_ns: Mapping[int, float]) -> float:
    """The cost at one length, of times by batch size."""
    match scenario:
        case spec.SingleStream():
            return min(execution_ns.values())
        case spec.MultiStream(samples_per_query=samples):
            return min(math.ceil(samples / size) * time for size, time in execution_ns.items())
    return min(time / size for size, time in execution_ns.items())
