"""When requests are due: seconds from the start of a phase, made in parts so that any number fits in memory."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator

import numpy as np

from tfperf.errors import DamagedDataError, MissingDataError

PART = 1 << 14  # arrival times that are made at once


def constant(requests_per_s: float, duration_s: float) -> Iterator[np.ndarray]:
    """Evenly spaced arrivals; the first is due at once."""
    count = max(1, math.ceil(requests_per_s * duration_s - 1e-9))
    for start in range(0, count, PART):
        yield np.arange(start, min(count, start + PART)) / requests_per_s


def poisson(requests_per_s: float, duration_s: float, *, seed: int, least: int = 1) -> Iterator[np.ndarray]:
    """Arrivals at random, independent of each other.

    Args:
        requests_per_s: how many arrive per second on average.
        duration_s: when the arrivals end, if `least` have arrived by then.
        seed: seeds them.
        least: fewest arrivals.
    """
    generator = np.random.default_rng(seed)
    last, count = 0.0, 0
    while True:
        times = last + np.cumsum(generator.exponential(1 / requests_per_s, PART))
        in_time = np.searchsorted(times, duration_s)
        wanted = max(int(in_time), min(PART, least - count))
        if wanted > 0:
            yield times[:wanted]
        if wanted < PART:
            return
        last, count = float(times[-1]), count + wanted


def ramp(from_per_s: float, to_per_s: float, duration_s: float) -> Iterator[np.ndarray]:
    """Arrivals at a rate that changes evenly: number n arrives when the integral of the rate is n."""
    slope = (to_per_s - from_per_s) / duration_s
    count = max(1, int((from_per_s + to_per_s) / 2 * duration_s))
    for start in range(0, count, PART):
        numbers = np.arange(start, min(count, start + PART), dtype=float)
        if slope == 0:
            yield numbers / from_per_s
        else:
            # The root of slope / 2 * t^2 + from * t = n, in the form that stays exact for small slopes.
            yield 2 * numbers / (from_per_s + np.sqrt(np.maximum(from_per_s**2 + 2 * slope * numbers, 0)) + 1e-300)


def spike(
    requests_per_s: float, spike_per_s: float, *, after_s: float, spike_s: float, duration_s: float
) -> Iterator[np.ndarray]:
    """Evenly spaced arrivals with a burst of others between."""
    begin = 0.0
    for rate, lasts_s in (
        (requests_per_s, after_s),
        (spike_per_s, spike_s),
        (requests_per_s, duration_s - after_s - spike_s),
    ):
        for part in constant(rate, lasts_s):
            yield begin + part
        begin += lasts_s


def recorded(path: pathlib.Path, *, speed: float, first: int = 0, every: int = 1) -> Iterator[np.ndarray]:
    """The arrivals in a file, the first of them at once.

    Args:
        path: the file.
        speed: how many times as fast they arrive.
        first: the number of the first one that is sent.
        every: every n-th one is sent.

    Raises:
        MissingDataError: there is no such file.
        DamagedDataError: it holds no times, or times that are not ascending.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise MissingDataError(f"The arrival times in {path} can't be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise DamagedDataError(f"{path} is not text: {error}.") from error
    times: list[float] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            time_s = float(text)
        except ValueError:
            time_s = math.nan
        if not math.isfinite(time_s):
            raise DamagedDataError(f"{path}, line {number}: expected a time in seconds, got {text[:40]!r}.")
        if times and time_s < times[-1]:
            raise DamagedDataError(
                f"{path}, line {number}: times must not decrease, got {time_s:g} after {times[-1]:g}. Sort them."
            )
        times.append(time_s)
    if not times:
        raise DamagedDataError(f"{path} holds no arrival times. Write one in each line, in seconds.")
    whole = ((np.array(times) - times[0]) / speed)[first::every]
    return (whole[start : start + PART] for start in range(0, len(whole), PART))
