"""Latency over throughput: the knee, and the most that keeps the latency within a bound."""

from __future__ import annotations

from collections.abc import Sequence

_LEAST_POINTS = 3


def knee(points: Sequence[tuple[float, float]]) -> float | None:
    """The throughput above which latency grows faster than throughput.

    It is the throughput with the highest power, throughput / latency (L. Kleinrock, "Power and deterministic rules of
    thumb for probabilistic problems in computer communications", ICC 1979): to its left, more throughput costs less
    than as much latency, and to its right more.

    Args:
        points: (throughput, latency), in any order and units.

    Returns:
        None with fewer than three points, or if the highest throughput still has the highest power.
    """
    known = sorted((x, y) for x, y in points if x > 0 and y > 0)
    if len(known) < _LEAST_POINTS:
        return None
    best = max(range(len(known)), key=lambda place: known[place][0] / known[place][1])
    return None if best == len(known) - 1 else known[best][0]


def most_within(points: Sequence[tuple[float, float]], *, bound: float) -> float | None:
    """The highest throughput that was measured with a latency within the bound; None if there is none."""
    return max((x for x, y in points if y <= bound), default=None)
