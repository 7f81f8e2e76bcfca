"""An external power meter: a csv file with the columns `timestamp` and `watts`, which its own program writes.

A timestamp is in seconds since the Unix epoch, or as ISO 8601 with a time zone. A time without a zone is refused: on
two days of a year nobody can tell which hour it was, and on all others nobody says whose time it was.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import math
import pathlib
import time

import numpy as np

from tfperf.errors import UsageError
from tfperf.telemetry import counters

COLUMNS = ("timestamp", "watts")
WORKER = "{worker}"

_GAP = 3.0  # intervals of the meter
_LEAST_GAP_S = 2.0
_WAIT_S = 5.0  # for a meter to write its last readings
_NEAR_S = 60.0
_QUARTER_S = 900.0  # the offsets of time zones are whole quarters of an hour


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeterReadings:
    """What a meter wrote.

    Attributes:
        path: its file.
        time_s: when it read, in seconds since the Unix epoch, ascending.
        watts: what it read.
    """

    path: pathlib.Path
    time_s: np.ndarray
    watts: np.ndarray

    @property
    def interval_s(self) -> float:
        """The usual time between two readings."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else 0.0

    def joules(self, *, begin_s: float, end_s: float) -> float:
        """The energy between two moments in seconds since the Unix epoch.

        Raises:
            NoEnergyError: the file does not cover them, or has a gap there.
        """
        first, last = float(self.time_s[0]), float(self.time_s[-1])
        if last < begin_s or first > end_s:
            raise counters.NoEnergyError(self._elsewhere(begin_s, end_s))
        if first > begin_s or last < end_s:
            side = f"begins at {_utc(first)}" if first > begin_s else f"ends at {_utc(last)}"
            raise counters.NoEnergyError(
                f"{self.path} {side} and does not cover the window from {_utc(begin_s)} to {_utc(end_s)}"
            )
        most_gap_s = max(_GAP * self.interval_s, _LEAST_GAP_S)
        at_ns, begin_ns = np.round((self.time_s - begin_s) * 1e9), 0
        end_ns = round((end_s - begin_s) * 1e9)
        gap_s = counters.longest_gap_s(at_ns, begin_ns=begin_ns, end_ns=end_ns)
        if gap_s > most_gap_s:
            raise counters.NoEnergyError(
                f"{self.path} has a gap of {gap_s:.3g} s between {_utc(begin_s)} and {_utc(end_s)}; its readings are "
                f"{self.interval_s:.3g} s apart, and gaps of at most {most_gap_s:.3g} s are bridged"
            )
        return counters.of_power(at_ns, self.watts, begin_ns=begin_ns, end_ns=end_ns, most_gap_s=most_gap_s)

    def _elsewhere(self, begin_s: float, end_s: float) -> str:
        first, last = float(self.time_s[0]), float(self.time_s[-1])
        covers = (
            f"{self.path} covers {_utc(first)} to {_utc(last)}, and the window was {_utc(begin_s)} to {_utc(end_s)}"
        )
        quarters = round((begin_s - first) / _QUARTER_S)
        for each in (quarters - 1, quarters, quarters + 1):
            shift_s = each * _QUARTER_S
            if each and first + shift_s <= begin_s and last + shift_s >= end_s:
                sign = "ahead of" if each < 0 else "behind"
                return (
                    f"{covers}: it is {abs(shift_s) / 3600:g} h {sign} the window, so its times may be local ones that "
                    "are marked as UTC"
                )
        return covers


def file_of(template: str, *, worker: int, workers: int) -> pathlib.Path:
    """The meter's file of one worker.

    Raises:
        UsageError: several workers would read one file.
    """
    if workers > 1 and WORKER not in template:
        raise UsageError(
            f"power_source: csv:{template} is one file, and {workers} workers take part. Each host has a meter of its "
            f"own: write {WORKER} where the number of the worker stands, such as csv:watts-{WORKER}.csv."
        )
    return pathlib.Path(template.replace(WORKER, str(worker))).expanduser()


def check(path: pathlib.Path) -> None:
    """Refuses a file that can't be read as a meter's, before anything runs. It may still be without readings.

    Raises:
        UsageError: says what is accepted.
    """
    try:
        _parsed(path, least=0)
    except counters.NoEnergyError as error:
        raise UsageError(f"power_source: {error}") from error


def read(path: pathlib.Path, *, until_s: float = 0.0) -> MeterReadings:
    """Reads the file, and waits a few seconds for the readings until a moment if it is nearly there.

    Raises:
        NoEnergyError: it can't be read.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        found = _parsed(path, least=2)
        missing_s = until_s - float(found.time_s[-1])
        if missing_s <= 0 or missing_s > _NEAR_S or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _parsed(path: pathlib.Path, *, least: int) -> MeterReadings:
    """Raises NoEnergyError."""
    accepted = f"the first line is {','.join(COLUMNS)}, each other one such as 2026-01-31T12:00:00.5Z,251.3"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, UnicodeError) as error:
        raise counters.NoEnergyError(
            f"{path} can't be read: {error}. Start the meter's program before the run"
        ) from error
    whole = text[: text.rfind("\n") + 1]  # the meter may be writing the last line
    lines = csv.reader(whole.splitlines())
    header = [name.strip().lower() for name in next(lines, [])]
    if not set(COLUMNS) <= set(header):
        raise counters.NoEnergyError(f"{path} begins with {','.join(header)[:80]!r}; {accepted}")
    stamp, power = (header.index(name) for name in COLUMNS)
    times, watts = [], []
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        try:
            times.append(_seconds(line[stamp].strip()))
            watts.append(_watts(line[power].strip()))
        except (IndexError, ValueError) as error:
            raise counters.NoEnergyError(f"{path}:{number}: {error}; {accepted}") from error
        if len(times) > 1 and times[-1] <= times[-2]:
            raise counters.NoEnergyError(f"{path}:{number}: {line[stamp].strip()} is not after the line before it")
    if len(times) < least:
        raise counters.NoEnergyError(f"{path} has {len(times)} readings; at least {least} are needed")
    return MeterReadings(path=path, time_s=np.array(times), watts=np.array(watts))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
        if moment.tzinfo is None:
            raise ValueError(
                f"{text} has no time zone: it may be local time. Write seconds since the Unix epoch, or a zone, such "
                f"as {text}Z for UTC"
            ) from None
        return moment.timestamp()
    if not 0 < seconds < 1e10:
        raise ValueError(f"{text} is not in seconds since the Unix epoch (in milliseconds, perhaps)")
    return seconds


def _watts(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text} is no power in watts")
    return value


def _utc(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
