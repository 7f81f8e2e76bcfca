"""The use and the power of a machine over time, with the windows that were measured, from its telemetry log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfperf import telemetry_log
from tfperf.telemetry_log import MachineLog

MOST_POINTS = 400

_Series = tuple[str, str, np.ndarray]  # name, unit, a value for each point


def of_log(log: MachineLog, *, most: int = MOST_POINTS) -> dict[str, Any]:
    """The curves of a log, each point the mean since the one before; empty with fewer than two readings.

    Returns:
        `seconds` since the first reading at each point, `series` of {name, unit, values}, with None where nothing was
        read, and `windows` of {name, from_s, to_s}.
    """
    if len(log.rows) < 2:
        return {}
    every = -(-(len(log.rows) - 1) // most)
    ends = np.unique([*range(0, len(log.rows), every), len(log.rows) - 1])
    at_s = (log.at_ns - log.at_ns[0]) / 1e9
    ends = ends[np.diff(at_s[ends], prepend=-1.0) > 0]
    found = [each for each in _curves(log, ends, at_s) if np.isfinite(each[2]).any()]
    return {
        "seconds": [round(float(each), 3) for each in at_s[ends[1:]]],
        "series": [{"name": name, "unit": unit, "values": _plain(values)} for name, unit, values in found],
        "windows": [
            {
                "name": window.name,
                "from_s": round((window.begin_ns - int(log.at_ns[0])) / 1e9, 3),
                "to_s": round((window.end_ns - int(log.at_ns[0])) / 1e9, 3),
            }
            for window in log.windows
        ],
    }


def _curves(log: MachineLog, ends: np.ndarray, at_s: np.ndarray) -> Iterator[_Series]:
    seconds = np.diff(at_s[ends])
    busy, total = _cores(log, ends)
    yield "processors", "%", 100 * np.diff(busy) / np.diff(total)
    yield "the run's processes", "%", 100 * np.diff(_run_cpu_s(log, at_s)[ends]) / np.diff(total)
    memory = 1 - _held(log.column("memory", 0) / log.column("memory", 1))
    yield "memory", "%", 100 * memory[ends[1:]]
    for index in range(len(log.header["gpus"])):
        yield f"GPU {index}", "%", _means(log.column("gpus", index, "percent"), ends)
    for zone in log.header["zones"]:
        counter = log.column("uj", zone["name"])[ends]
        yield zone["name"], "W", np.diff(telemetry_log.unwrapped(counter, span=zone["max_uj"])) / 1e6 / seconds
    for index in range(len(log.header["gpus"])):
        yield f"GPU {index}", "W", _means(log.column("gpus", index, "watts"), ends)


def _run_cpu_s(log: MachineLog, at_s: np.ndarray) -> np.ndarray:
    """Processor seconds of the run at each reading.

    New processes are looked for only where their memory is read too. Between these readings the counter is
    interpolated, or it would jump by all that a process used before it was found.
    """
    counted = log.column("run_cpu_s")
    known = np.isfinite(counted) & np.isfinite(log.column("run_memory"))
    if np.count_nonzero(known) < 2:
        return counted
    found: np.ndarray = np.interp(at_s, at_s[known], counted[known])
    return found


def _cores(log: MachineLog, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Busy and all seconds of all cores together at each of some readings."""
    cores = [log.rows[end].get("cores", ()) for end in ends.tolist()]
    busy = np.array([sum(core[0] for core in each) if each else np.nan for each in cores], np.float64)
    total = np.array([sum(map(sum, each)) if each else np.nan for each in cores], np.float64)
    return busy, np.where(np.diff(total, prepend=-1.0) > 0, total, np.nan)


def _means(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The mean of the readings up to each end, after the one before."""
    parts = [values[first + 1 : last + 1] for first, last in itertools.pairwise(ends.tolist())]
    known = [part[np.isfinite(part)] for part in parts]
    return np.array([part.mean() if len(part) else np.nan for part in known], np.float64)


def _held(values: np.ndarray) -> np.ndarray:
    """Each value or, where nothing was read, the last one before."""
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), 0))
    found: np.ndarray = values[last]
    return found


def _plain(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 3) if np.isfinite(value) else None for value in values]
