"""How a host was used in a window, from its log."""

from __future__ import annotations

import numpy as np

from tfperf.result import GpuUse, MachineUse
from tfperf.telemetry import nvml
from tfperf.telemetry_log import MachineLog, Window

_BUSY, _IDLE, _STOLEN = 0, 1, 2  # of a core in a reading


def use(log: MachineLog, window: Window, *, began_s: float) -> MachineUse:
    """How the host of a log was used in a window. What was not read is None.

    Args:
        log: the log.
        window: what was measured.
        began_s: when it began, in seconds since the Unix epoch.
    """
    cores = _cores(log, window)
    total = None if cores is None else float(cores.sum())
    busy = None if cores is None else float(cores[:, _BUSY].sum())
    run_s, own_s = _change(log, window, "run_cpu_s"), _change(log, window, "own_s")
    known = total and busy is not None and run_s is not None
    others_s = max(0.0, (busy or 0.0) - (run_s or 0.0) - (own_s or 0.0))
    memory = _inside(log, window, "memory", 0), _inside(log, window, "memory", 1)
    held = _inside(log, window, "run_memory")
    used = 1 - memory[0] / memory[1]
    return MachineUse(
        window=window.name,
        host=log.header["host"],
        began_s=began_s,
        seconds=window.seconds,
        readings=int(_within(log, window).sum()),
        cores=0 if cores is None else len(cores),
        cpu_percent=_percent(busy, total),
        busiest_core_percent=None if cores is None else _busiest(cores),
        run_cpu_percent=_percent(run_s, total),
        other_cpu_percent=_percent(others_s, total) if known else None,
        stolen_percent=None if cores is None else _percent(float(cores[:, _STOLEN].sum()), total),
        cpu_mhz=_mean(_inside(log, window, "clock_mhz")),
        cpu_temperature_c=_most(_inside(log, window, "temperature_c")),
        memory_bytes=_whole(_most(held)),
        machine_memory_percent=_scaled(_most(used), 100),
        disk_read_bytes_per_s=_rate(log, window, "disk", 0),
        disk_written_bytes_per_s=_rate(log, window, "disk", 1),
        network_received_bytes_per_s=_rate(log, window, "network", 0),
        network_sent_bytes_per_s=_rate(log, window, "network", 1),
        gpus=tuple(_gpu(log, window, index) for index in range(len(log.header["gpus"]))),
        sampler_percent=None if own_s is None or not window.seconds else 100 * own_s / window.seconds,
        missed=round(_change(log, window, "missed") or 0.0),
    )


def busy_share(log: MachineLog, window: Window) -> float | None:
    """Which part of the host's processor time was used in a window, 0 to 1; None if it was not read."""
    cores = _cores(log, window)
    return None if cores is None or not cores.sum() else float(cores[:, _BUSY].sum() / cores.sum())


def _cores(log: MachineLog, window: Window) -> np.ndarray | None:
    """[busy, idle, stolen] seconds of each core in the window, float64 [cores, 3]; None if they were not read."""
    ends = log.around(window, "cores")
    count = max((len(row["cores"]) for row in ends.rows), default=0)
    changes = [[_change(ends, window, "cores", core, part) for part in range(3)] for core in range(count)]
    if not changes or any(value is None for core in changes for value in core):
        return None
    return np.array(changes, np.float64).clip(min=0)


def _busiest(cores: np.ndarray) -> float | None:
    totals = cores.sum(axis=1)
    shares = cores[totals > 0, _BUSY] / totals[totals > 0]
    return float(100 * shares.max()) if len(shares) else None


def _gpu(log: MachineLog, window: Window, index: int) -> GpuUse:
    header = log.header["gpus"][index]
    clock = _inside(log, window, "gpus", index, "clock_mhz")
    throttling = _inside(log, window, "gpus", index, "throttling")
    bits = throttling[np.isfinite(throttling)].astype(np.int64)
    rows = [row for row in log.rows if window.begin_ns <= row["at_ns"] <= window.end_ns]
    others = {pid for row in rows for pid in row.get("gpus", ({},) * (index + 1))[index].get("others", ())}
    return GpuUse(
        uuid=header["uuid"],
        name=header["name"],
        percent=_mean(_inside(log, window, "gpus", index, "percent")),
        memory_bytes=_whole(_most(_inside(log, window, "gpus", index, "memory_bytes"))),
        watts=_mean(_inside(log, window, "gpus", index, "watts")),
        clock_mhz=_mean(clock),
        least_clock_mhz=_scaled(_most(-clock), -1),
        temperature_c=_most(_inside(log, window, "gpus", index, "temperature_c")),
        throttled_percent=float(100 * (bits != 0).mean()) if len(bits) else None,
        throttled_by=nvml.throttled_by(int(np.bitwise_or.reduce(bits))) if len(bits) else (),
        others=len(others),
    )


def _within(log: MachineLog, window: Window) -> np.ndarray:
    at_ns = log.at_ns
    return np.asarray((at_ns >= window.begin_ns) & (at_ns <= window.end_ns))


def _inside(log: MachineLog, window: Window, *keys: str | int) -> np.ndarray:
    found: np.ndarray = log.column(*keys)[_within(log, window)]
    return found


def _change(log: MachineLog, window: Window, key: str, *keys: str | int) -> float | None:
    """How much a counter rose in the window, interpolated at its ends; None if the readings do not cover it."""
    ends = log.around(window, key)
    values, at_ns = ends.column(key, *keys), ends.at_ns
    known = np.isfinite(values)
    at_ns, values = at_ns[known], values[known]
    if not len(at_ns) or at_ns[0] > window.begin_ns or at_ns[-1] < window.end_ns:
        return None
    ends = np.interp([0.0, window.end_ns - window.begin_ns], at_ns - window.begin_ns, values)
    return float(ends[1] - ends[0])


def _rate(log: MachineLog, window: Window, key: str, *keys: str | int) -> float | None:
    change = _change(log, window, key, *keys)
    return None if change is None or not window.seconds else max(0.0, change) / window.seconds


def _percent(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _most(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
