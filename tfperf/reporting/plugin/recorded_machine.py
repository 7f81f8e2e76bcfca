"""The use and the power of a run's machine over time, for the page."""

from __future__ import annotations

from typing import Any

from tfperf import telemetry_log
from tfperf.reporting import machine_series
from tfperf.reporting.plugin import files
from tfperf.reporting.plugin.directories import FoundRun


def series(run: FoundRun) -> dict[str, Any]:
    """The curves of a run, see `machine_series.of_log`; empty if nothing was recorded. Never raises.

    Returns:
        What `of_log` returns; `reason` alone if the file can't be shown.
    """
    try:
        content = files.read(run, telemetry_log.NAME)
        log = None if content is None else telemetry_log.parse(content, source=telemetry_log.NAME)
    except (files.Unreadable, ValueError) as error:
        return {"reason": str(error)[:500]}
    return {} if log is None else machine_series.of_log(log)
