"""Processor time, memory, disks and the network of this machine, as raw counters."""

from __future__ import annotations

import os
import pathlib
import time
from typing import Any

import psutil

from tfperf.telemetry import neighbours

_SLOW_EVERY_S = 0.95  # for what takes long to read and changes slowly; once a second, if readings come a little early
_BUSY = ("user", "nice", "system", "irq", "softirq")  # `user` includes guests
_IDLE = ("idle", "iowait")
_LOOPBACK = ("lo", "lo0")
_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
_CLOCKS = pathlib.Path("/sys/devices/system/cpu")
_MOST_CLOCKS = 8  # cores whose clock is read: on some machines each costs the interrupt of a core


class MachineReader:
    """Reads the counters of this machine and of the processes of a run.

    Args:
        root: the process of the run. Its descendants count as the run's, except this process.

    Attributes:
        ours: the processes of the run, those that have ended included.
    """

    def __init__(self, root: int) -> None:
        self.ours = {root}
        self._root = root
        self._alive: dict[int, psutil.Process] = {}
        self._slow_s = -_SLOW_EVERY_S
        self._clocks = _clock_files()

    def read(self, *, everything: bool = False) -> dict[str, Any]:
        """The counters now. Those that the system lacks are left out.

        `cores` holds [busy, idle, stolen] seconds of each core, `run_cpu_s` the processor seconds of the run. Once a
        second it also has `run_memory`, the bytes of the run, `memory`, the [available, all] bytes, `disk`, bytes
        [read, written], `network`, bytes [received, sent], and clocks and temperature.

        Args:
            everything: also what is otherwise read once a second.
        """
        now = time.perf_counter()
        slow = everything or now - self._slow_s >= _SLOW_EVERY_S
        if slow:
            self._slow_s = now
            self._find_processes()
        return {
            "cores": [_core(times) for times in psutil.cpu_times(percpu=True)],
            **self._run(slow=slow),
            **(self._slowly() if slow else {}),
        }

    def _find_processes(self) -> None:
        """Finds the processes of the run. Reading psutil's own tree would take 30 times as long on Linux."""
        found = neighbours.with_descendants([self._root]) if neighbours.has_proc() else _tree(self._root)
        found.discard(os.getpid())
        self.ours |= found
        for pid in found - self._alive.keys():
            try:
                self._alive[pid] = psutil.Process(pid)
            except psutil.Error:  # it has ended, and its time is its parent's once that has waited for it
                continue

    def _run(self, *, slow: bool) -> dict[str, Any]:
        used_s, held = 0.0, 0
        for pid, process in list(self._alive.items()):
            try:
                times = process.cpu_times()
                memory = process.memory_info() if slow else None
            except psutil.Error:
                del self._alive[pid]
                continue
            # Children that were waited for count here, as their own entries are gone.
            used_s += times.user + times.system + getattr(times, "children_user", 0.0)
            used_s += getattr(times, "children_system", 0.0)
            if memory is not None:
                held += memory.rss - getattr(memory, "shared", 0)
        if not self._alive:
            return {}
        return {"run_cpu_s": round(used_s, 2), **({"run_memory": held} if slow else {})}

    def _slowly(self) -> dict[str, Any]:
        clocks = [int(text) / 1e3 for text in map(_text, self._clocks) if text.isdigit()]
        temperature, memory = _temperature(), psutil.virtual_memory()
        return {
            "memory": [memory.available, memory.total],
            **_disk(),
            **_network(),
            **({"clock_mhz": round(sum(clocks) / len(clocks), 1)} if clocks else {}),
            **({} if temperature is None else {"temperature_c": temperature}),
        }


def _core(times: Any) -> list[float]:
    busy = sum(getattr(times, name, 0.0) for name in _BUSY)
    idle = sum(getattr(times, name, 0.0) for name in _IDLE)
    return [round(busy, 2), round(idle, 2), round(getattr(times, "steal", 0.0), 2)]


def _disk() -> dict[str, list[int]]:
    found = psutil.disk_io_counters(nowrap=False)
    return {} if found is None else {"disk": [found.read_bytes, found.write_bytes]}


def _network() -> dict[str, list[int]]:
    outside = [
        each for name, each in psutil.net_io_counters(pernic=True, nowrap=False).items() if name not in _LOOPBACK
    ]
    if not outside:
        return {}
    return {"network": [sum(each.bytes_recv for each in outside), sum(each.bytes_sent for each in outside)]}


def _temperature() -> float | None:
    """The highest temperature of the processors, in degrees Celsius."""
    if not hasattr(psutil, "sensors_temperatures"):
        return None
    found = psutil.sensors_temperatures()
    values = [each.current for name in _SENSORS for each in found.get(name, ())]
    return max(values, default=None)


def _clock_files() -> list[pathlib.Path]:
    """The files with the clocks of some cores, evenly spaced. A virtual machine has none."""
    found = sorted(_CLOCKS.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return found[:: max(1, len(found) // _MOST_CLOCKS)][:_MOST_CLOCKS]


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _tree(root: int) -> set[int]:
    try:
        return {root, *(child.pid for child in psutil.Process(root).children(recursive=True))}
    except psutil.Error:
        return set()
