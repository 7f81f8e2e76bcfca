"""When a run began."""

from __future__ import annotations

import datetime
import json
import math
import re

from tfperf import sweep_files
from tfperf.reporting.plugin import files
from tfperf.reporting.plugin.directories import FoundRun

_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_WRITTEN_FIRST = (sweep_files.SWEEP, "spec.yaml", "result.json")
_LATEST_S = 253_402_300_800  # the year 10,000, after which there are no dates


def started_s(run: FoundRun) -> float | None:
    """When the run began, in seconds since the Unix epoch; None if nothing tells.

    The name of a run directory says it, or else the first event. The last resort is the time of the file that is
    written first, which copying may change.
    """
    for found in (_named(run.path.rstrip("/").rpartition("/")[2]), _first_event(run), _first_file(run)):
        if found is not None and 0 < found < _LATEST_S:
            return found
    return None


def _named(name: str) -> float | None:
    stamp = _STAMP.match(name)
    if stamp is None:
        return None
    try:
        began = datetime.datetime.strptime(stamp[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:  # such as the 99th day of a month
        return None
    return began.timestamp()


def _first_event(run: FoundRun) -> float | None:
    line = files.first_line(run, "events.jsonl")
    try:
        event = json.loads(line or b"null")
    except (ValueError, RecursionError):  # the page itself says what is wrong with the file
        return None
    time_s = event.get("time_s") if isinstance(event, dict) else None
    return float(time_s) if isinstance(time_s, (int, float)) and abs(time_s) < math.inf else None


def _first_file(run: FoundRun) -> float | None:
    for stamp in files.stamps(run, *(name for name in _WRITTEN_FIRST if name in run.entries)):
        if stamp is not None and stamp.modified_ns is not None:
            return stamp.modified_ns / 1e9
    return None
