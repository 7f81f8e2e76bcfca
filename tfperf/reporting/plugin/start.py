"""When a run began."""

from __future__ import annotations

import datetime
import re

from tfperf import json_text, sweep_files
from tfperf.reporting.plugin import files
from tfperf.reporting.plugin.directories import FoundRun

_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_WRITTEN_FIRST = (sweep_files.SWEEP, "spec.yaml", "result.json")
_LATEST_S = 253_402_300_800  # the year 10,000, after which there are no dates


def started_s(run: FoundRun) -> float | None:
    """When the run began, in seconds since the Unix epoch; None if it is unknown.

    The name of a run directory says it, or else the first event. The last resort is the time of the file that is
    written first, which copying may change.
    """
    sources = (_named, _first_event, _first_file)
    return next((found for source in sources if (found := source(run)) is not None and 0 < found < _LATEST_S), None)


def _named(run: FoundRun) -> float | None:
    stamp = _STAMP.match(run.path.rstrip("/").rpartition("/")[2])
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
        event = json_text.parse(line or b"null")
    except ValueError:  # the page itself says what is wrong with the file
        return None
    time_s = event.get("time_s") if isinstance(event, dict) else None
    return time_s if isinstance(time_s, (int, float)) else None


def _first_file(run: FoundRun) -> float | None:
    for stamp in files.stamps(run, *(name for name in _WRITTEN_FIRST if name in run.entries)):
        if stamp is not None and stamp.modified_ns is not None:
            return stamp.modified_ns / 1e9
    return None
