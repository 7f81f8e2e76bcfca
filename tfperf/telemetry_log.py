"""The raw readings of a machine during a run, as `telemetry.jsonl`, and the windows that were measured.

A sampler writes a header and its readings, one JSON object a line; the run appends its windows at the end. Counters are
kept as they were read, so that every number that was made of them can be recomputed.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfperf import json_text

if TYPE_CHECKING:  # the sampler starts faster without it
    import numpy as np

NAME = "telemetry.jsonl"
FORMAT = 1
IDLE = "idle"  # the name of the window before the run

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Window:
    """A span of time that was measured, on the clock of `time.perf_counter_ns` of its host.

    Attributes:
        name: what was measured.
        begin_ns: its begin.
        end_ns: its end.
        samples: samples that were answered or trained in it; None if unknown.
    """

    name: str
    begin_ns: int
    end_ns: int
    samples: int | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.begin_ns) / 1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachineLog:
    """All that was read on one host.

    Attributes:
        header: the host, its energy counters and GPUs, and why others are missing.
        rows: the readings, oldest first.
        windows: the windows that were measured.
    """

    header: Row
    rows: tuple[Row, ...]
    windows: tuple[Window, ...] = ()

    @functools.cached_property
    def at_ns(self) -> np.ndarray:
        """When each reading was made, int64 [rows]."""
        import numpy as np

        return np.array([row["at_ns"] for row in self.rows], np.int64)

    def wall_s(self, at_ns: float) -> float:
        """A moment in seconds since the Unix epoch, by the stamps of the nearest reading."""
        nearest = min(self.rows, key=lambda row: abs(row["at_ns"] - at_ns))
        return float(nearest["time_s"] + (at_ns - nearest["at_ns"]) / 1e9)

    def around(self, window: Window, key: str) -> MachineLog:
        """The log with only the readings of `key` on both sides of the window's begin and of its end."""
        found: dict[int, Row] = {}
        for at_ns in (window.begin_ns, window.end_ns):
            after = bisect.bisect_right(self.rows, at_ns, key=lambda row: row["at_ns"])
            for side in (range(after - 1, -1, -1), range(after, len(self.rows))):
                index = next((index for index in side if key in self.rows[index]), None)
                if index is not None:
                    found[index] = self.rows[index]
        return dataclasses.replace(self, rows=tuple(found[index] for index in sorted(found)))

    def column(self, *keys: str | int) -> np.ndarray:
        """One number of each reading by its keys, float64 [rows]; NaN where it was not read."""
        import numpy as np

        return np.array([_found(row, keys) for row in self.rows], np.float64)


def read(path: pathlib.Path) -> MachineLog:
    """Reads a log.

    Raises:
        OSError: it can't be read.
        ValueError: it is not one, or damaged.
    """
    return parse(path.read_bytes(), source=str(path))


def parse(content: bytes, *, source: str) -> MachineLog:
    """The log in `content`. A last line that was cut off is left out.

    Raises:
        ValueError: names the line that is not as a sampler writes it.
    """
    lines = content.split(b"\n")[:-1]
    values = []
    for number, line in enumerate(lines, 1):
        try:
            values.append(json_text.parse(line))
        except ValueError as error:
            raise ValueError(f"{source}:{number}: not JSON: {error}") from error
        if not isinstance(values[-1], dict):
            raise ValueError(f"{source}:{number}: not an object")
    if not values or values[0].get("telemetry") != FORMAT:
        raise ValueError(f"{source} does not begin with the header of a telemetry log of format {FORMAT}.")
    rows = tuple(value for value in values[1:] if "at_ns" in value)
    bad = next((row for row in rows if not _is_stamp(row["at_ns"]) or not _is_stamp(row.get("time_s"))), None)
    if bad is not None:
        raise ValueError(f"{source}: a reading has no stamps: {bad!r:.80}")
    try:
        windows = tuple(Window(**value["window"]) for value in values[1:] if "window" in value)
    except TypeError as error:
        raise ValueError(f"{source}: a window is not as a run writes it: {error}") from error
    return MachineLog(header=values[0], rows=rows, windows=windows)


def with_windows(log: MachineLog, windows: Sequence[Window]) -> MachineLog:
    """The log with further windows."""
    return dataclasses.replace(log, windows=(*log.windows, *windows))


def unwrapped(counter: np.ndarray, *, span: float | None) -> np.ndarray:
    """What a counter has counted since its first reading; one that goes back has begun again after `span`."""
    import numpy as np

    steps = np.diff(counter)
    return np.concatenate([[0.0], np.cumsum(steps + (steps < 0) * (span or 0.0))])


def append(path: pathlib.Path, windows: Sequence[Window]) -> None:
    """Adds the windows of a run whose sampler has ended."""
    lines = [json.dumps({"window": dataclasses.asdict(window)}) + "\n" for window in windows]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


def _is_stamp(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _found(row: Any, keys: Sequence[str | int]) -> float:
    for key in keys:
        try:
            row = row[key]
        except (KeyError, IndexError, TypeError):
            return math.nan
    return row if _is_stamp(row) else math.nan
