"""What a scenario wants of a compiled form: its batch sizes, the longest execution, the figure it is judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tfperf import spec

# In Server any number may wait: with the sizes between the powers of two, the simulation of the batching policy holds
# rates 2 to 3 % higher.
_MANY = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_FEW = (1, 4, 16, 64)  # in Offline only the last batch is not full
_OFFLINE_LONGEST_NS = 10**9  # a beat of the progress, and what padding the last batch can cost at most


def batch_sizes_for(scenario: spec.Scenario, *, asked: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """The batch sizes that a scenario is tried at, ascending; those that are asked for instead, where any are."""
    if asked is not None:
        return asked
    match scenario:
        case spec.SingleStream():
            return (1,)
        case spec.MultiStream(samples_per_query=samples):
            return (samples,)
        case spec.Server():
            return _MANY
        case spec.Offline():
            return _FEW


def longest_execution_ns(scenario: spec.Scenario, *, latency_bound_ns: int | None = None) -> int | None:
    """The longest time of one execution that is of use; None where the batch size is given.

    In Server half of the latency bound: a sample may have to wait for the batch before its own.

    Args:
        scenario: how samples arrive.
        latency_bound_ns: of Server; None sets no limit.
    """
    match scenario:
        case spec.Server() if latency_bound_ns is not None:
            return latency_bound_ns // 2
        case spec.Offline():
            return _OFFLINE_LONGEST_NS
    return None


def cost_ns(scenario: spec.Scenario, execution_ns: Mapping[int, float]) -> float:
    """What the scenario's metric makes of a form; less is better.

    The time to answer a query in SingleStream and MultiStream, in batches of one size; the time per sample at the
    best batch size in Server and Offline.

    Args:
        scenario: how samples arrive.
        execution_ns: time of one execution by batch size.
    """
    match scenario:
        case spec.SingleStream():
            return min(execution_ns.values())
        case spec.MultiStream(samples_per_query=samples):
            return min(math.ceil(samples / size) * time for size, time in execution_ns.items())
    return min(time / size for size, time in execution_ns.items())
