"""The process that reads the machine's counters while a run is measured. It imports no TensorFlow.

It writes `telemetry.jsonl` and ends when its standard input ends or its parent is gone. A line on standard input is a
mark: a reading at once, which carries the text. Its first line on standard output says that it is ready.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pathlib
import platform
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from tfperf import telemetry_log
from tfperf.telemetry import nvml, powercap
from tfperf.telemetry.machine import MachineReader

_LOOK_EVERY_S = 1.0  # whether the parent is gone
_BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")


class Sampler:
    """Makes the header and the readings of a log.

    Args:
        processors: the energy counters of the processors.
        gpus: the GPUs.
        root: the process of the run.
        rate_hz: readings in a second.
    """

    def __init__(self, processors: powercap.Processors, gpus: nvml.Gpus, *, root: int, rate_hz: float) -> None:
        self._zones = [zone for zone in processors.zones if not zone.reason]
        self._gpus = gpus
        self._machine = MachineReader(root)
        self.header = {
            "telemetry": telemetry_log.FORMAT,
            "host": platform.node(),
            "boot_id": _boot_id(),
            "rate_hz": rate_hz,
            "zones": [
                {"name": zone.name, "kind": zone.kind, "max_uj": zone.max_uj, "reason": zone.reason}
                for zone in processors.zones
            ],
            "no_zones": processors.reason,
            "gpus": [
                {
                    "uuid": gpu.uuid,
                    "name": gpu.name,
                    "has_counter": gpu.has_counter,
                    "limit_watts": gpu.limit_watts,
                    "reason": gpu.reason,
                    "note": gpu.note,
                }
                for gpu in gpus.found
            ],
            "no_gpus": gpus.reason,
        }

    def read(self, *, everything: bool = False) -> dict[str, Any]:
        """One reading. The energy counters are read first, next to the stamps.

        Args:
            everything: also what is otherwise read once a second.
        """
        at_ns, time_s = time.perf_counter_ns(), time.time()
        energy = {zone.name: powercap.read(zone) for zone in self._zones}
        gpus = [self._gpu(index) for index in range(len(self._gpus.found))]
        return {
            "at_ns": at_ns,
            "time_s": round(time_s, 6),
            **({"uj": energy} if energy else {}),
            **({"gpus": gpus} if gpus else {}),
            **self._machine.read(everything=everything),
            "own_s": round(time.process_time(), 5),
        }

    def _gpu(self, index: int) -> dict[str, Any]:
        counted_mj, watts = self._gpus.energy(index)
        found = {"mj": counted_mj, "watts": watts, **self._gpus.use(index)}
        processes = self._gpus.processes(index)
        others = None if processes is None else [pid for pid in processes if pid not in self._machine.ours]
        return {
            **{name: value for name, value in found.items() if value is not None},
            **({"others": others} if others else {}),
        }


def loop(sampler: Sampler, write: Callable[[dict[str, Any]], None], *, rate_hz: float, stdin: int, parent: int) -> None:
    """Reads at an even pace until standard input ends or the parent is gone; then once more."""
    period = 1 / rate_hz
    due, missed, rest = time.perf_counter(), 0, b""
    while True:
        now = time.perf_counter()
        if now >= due:
            write({**sampler.read(), "missed": missed})
            late = int((time.perf_counter() - due) / period)  # readings for which it is too late by now
            missed += late
            due += (1 + late) * period
            continue
        if select.select([stdin], [], [], min(due - now, _LOOK_EVERY_S))[0]:
            received = os.read(stdin, 1 << 16)
            if not received:
                break
            *marks, rest = (rest + received).split(b"\n")
            for mark in marks:
                write({**sampler.read(everything=True), "missed": missed, "mark": mark.decode(errors="replace")})
        if os.getppid() != parent:
            break
    write({**sampler.read(everything=True), "missed": missed})


def main() -> None:
    """Runs the sampler. Its only argument is JSON: `path`, `rate_hz`, `powercap`, `parent`."""
    asked = json.loads(sys.argv[-1])
    sampler = Sampler(
        powercap.find(pathlib.Path(asked["powercap"])),
        nvml.Gpus(visible=nvml.visible()),
        root=asked["parent"],
        rate_hz=asked["rate_hz"],
    )
    with _file(asked["path"]) as write:
        write(sampler.header)
        write({**sampler.read(), "missed": 0})
        print(json.dumps(sampler.header), flush=True)
        gc.disable()  # nothing here makes circles
        loop(sampler, write, rate_hz=asked["rate_hz"], stdin=sys.stdin.fileno(), parent=asked["parent"])


@contextlib.contextmanager
def _file(path: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Writes each object as one line at once, so that a run that is killed keeps what was read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        yield lambda value: _write(descriptor, json.dumps(value, separators=(",", ":")).encode() + b"\n")
    finally:
        os.close(descriptor)


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _boot_id() -> str:
    """What two processes on one running machine share, also in different containers; the host's name elsewhere."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
