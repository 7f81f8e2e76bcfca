"""Where the level of a series of runs changed.

PELT (Killick, Fearnhead & Eckley, Journal of the American Statistical Association 107, 2012) on logarithms, as the
package ruptures implements it, proposes the places; Welch's test with Holm's correction keeps those that are no noise.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfperf.analysis import comparison, ratio

LEAST_RUNS = 6  # of a series, and twice those of a segment
SEGMENT = 3
SIGNIFICANCE = 0.001
LEAST_CHANGE = 0.01  # smaller steps matter to nobody
_PENALTY = 3.0  # times log n; see tests/analysis/test_change_points.py for the false alarms that it leaves
_LEAST_NOISE = 1e-3  # of logarithms, so that a series of equal values has a scale
_WINDOW = 5
_CLIP = 3.0
_TO_DEVIATION = 1.4826  # of a median absolute deviation, for normal values


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangePoint:
    """A place where the level changed.

    Attributes:
        place: the number of the first run at the new level, from 0.
        ratio: the new level divided by the old one.
        p: two-sided probability of such a step in noise, by Welch's test.
    """

    place: int
    ratio: float
    p: float


def find(values: Sequence[float]) -> tuple[ChangePoint, ...]:
    """The changes of level in a series, in its order.

    Args:
        values: the figure of each run, above 0, in the order in which they ran. Fewer than 6 have no changes.
    """
    if len(values) < LEAST_RUNS:
        return ()
    from ruptures import KernelCPD  # takes a second to import, mostly scipy's

    logs = np.log(np.asarray(values, float))
    noise = max(_LEAST_NOISE, _deviation(np.diff(logs)) / math.sqrt(2))
    clipped = _clipped(logs, noise)
    found = (
        KernelCPD(kernel="linear", min_size=SEGMENT).fit(clipped / noise).predict(pen=_PENALTY * math.log(len(logs)))
    )
    return _kept(logs, clipped, [int(place) for place in found[:-1]])


def _clipped(logs: np.ndarray, noise: float) -> np.ndarray:
    """Single runs far from their neighbours, pulled towards them: an outlier is no level."""
    padded = np.pad(logs, _WINDOW // 2, mode="reflect")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1)
    return np.asarray(middle + np.clip(logs - middle, -_CLIP * noise, _CLIP * noise))


def _deviation(values: np.ndarray) -> float:
    return _TO_DEVIATION * float(np.median(np.abs(values - np.median(values))))


def _kept(logs: np.ndarray, clipped: np.ndarray, places: list[int]) -> tuple[ChangePoint, ...]:
    """The places whose step is no noise. The weakest goes first, and its neighbours are then judged anew."""
    while places:
        found = [_step(logs, clipped, *around) for around in _around(places, len(logs))]
        corrected = comparison.holm([each.p for each in found])
        weak = [
            (each, number)
            for number, each in enumerate(corrected)
            if each is None or each >= SIGNIFICANCE or abs(math.log(found[number].ratio)) < LEAST_CHANGE
        ]
        if not weak:
            return tuple(found)
        del places[max(weak, key=lambda each: each[0] or 0.0)[1]]
    return ()


def _around(places: Sequence[int], count: int) -> list[tuple[int, int, int]]:
    """(start of the segment before, place, end of the segment after) of each place."""
    edges = [0, *places, count]
    return list(zip(edges, edges[1:], edges[2:], strict=False))


def _step(logs: np.ndarray, clipped: np.ndarray, start: int, place: int, end: int) -> ChangePoint:
    step = math.exp(float(np.median(logs[place:end]) - np.median(logs[start:place])))
    _, _, p = ratio.welch(clipped[start:place], clipped[place:end])
    return ChangePoint(place=place, ratio=step, p=p)
