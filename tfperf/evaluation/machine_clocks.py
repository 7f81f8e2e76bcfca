"""The clocks and temperatures that Linux tells everybody, read once a second beside a load to explain its changes."""

from __future__ import annotations

import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from tfperf.analysis.steady_state import MachineSeries

_SYS = pathlib.Path("/sys")
_EVERY_NS = 1_000_000_000
_THOUSAND = 1e3  # kHz and thousandths of a degree


class MachineClocks:
    """Reads the mean clock of the processor and the highest temperature, where the system has them.

    Args:
        root: where the system shows them.
    """

    def __init__(self, root: pathlib.Path = _SYS) -> None:
        highest: Callable[[Sequence[float]], float] = max
        self._files = {
            ("CPU clock", "MHz"): (
                sorted(root.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")),
                statistics.fmean,
            ),
            ("temperature", "C"): (sorted(root.glob("class/thermal/thermal_zone[0-9]*/temp")), highest),
        }
        self._read: dict[tuple[str, str], list[tuple[int, float]]] = {kind: [] for kind in self._files}
        self._next_ns = 0

    def look(self) -> None:
        """Reads them, if a second has passed since the last time. Call this a few times a second."""
        now_ns = time.perf_counter_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + _EVERY_NS
        for kind, (files, of_all) in self._files.items():
            values = [value for value in map(_number, files) if value is not None]
            if values:
                self._read[kind].append((now_ns, of_all(values) / _THOUSAND))

    def since(self, begin_ns: int) -> Sequence[MachineSeries]:
        """What was read from a time on the clock of `time.perf_counter_ns`; nothing where there is nothing to read."""
        found = []
        for (name, unit), read in self._read.items():
            kept = [(at_ns, value) for at_ns, value in read if at_ns >= begin_ns]
            if kept:
                at_ns, values = (np.array(column, float) for column in zip(*kept, strict=True))
                found.append(MachineSeries(name=name, unit=unit, at_s=(at_ns - begin_ns) / 1e9, values=values))
        return found


def _number(path: pathlib.Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # a sensor that sleeps can't be read
        return None
