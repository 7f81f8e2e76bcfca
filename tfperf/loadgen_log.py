"""LoadGen's detail log as values: `mlperf_log_detail.txt`, one `:::MLLOG {json}` to a line."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfperf.result import Measurement

DETAIL = "mlperf_log_detail.txt"
SUMMARY = "mlperf_log_summary.txt"
ACCURACY = "mlperf_log_accuracy.json"
_PREFIX = ":::MLLOG "

# RESULT_FIELD_NEW of tools/submission/submission_checker/constants.py in mlcommons/inference: the key of each
# scenario's metric. The latencies are early-stopping estimates and not the plain percentiles.
METRICS = {
    "SingleStream": ("early_stopping_latency_ss", "ns"),
    "MultiStream": ("early_stopping_latency_ms", "ns"),
    "Server": ("result_completed_samples_per_sec", "samples/s"),
    "Offline": ("result_samples_per_second", "samples/s"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadgenLog:
    """What a detail log says.

    Attributes:
        values: the value of each key, the last one where a key comes again.
        errors: the messages of lines that are errors, as `key: value`.
        warnings: likewise of warnings.
        ended: whether LoadGen came to the end of the run and wrote its last line.
    """

    values: Mapping[str, Any]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    ended: bool


def read(log_dir: pathlib.Path) -> LoadgenLog:
    """Reads the detail log in `log_dir`; lines that are cut off, as the last one of a killed run, are left out.

    Raises:
        OSError: there is none.
    """
    values: dict[str, Any] = {}
    errors, warnings = [], []
    with (log_dir / DETAIL).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            entry = _entry(line)
            if entry is None:
                continue
            values[entry["key"]] = entry["value"]
            if entry["metadata"].get("is_error"):
                errors.append(f"{entry['key']}: {entry['value']}")
            elif entry["metadata"].get("is_warning"):
                warnings.append(f"{entry['key']}: {entry['value']}")
    # It counts errors last, but not in accuracy mode, where the end of the power measurement is the last line.
    last = "power_end" if values.get("effective_test_mode") == "AccuracyOnly" else "num_errors"
    return LoadgenLog(values=values, errors=tuple(errors), warnings=tuple(warnings), ended=last in values)


def metric(log: LoadgenLog) -> Measurement | None:
    """The metric of a performance run, under LoadGen's name of it.

    None in a log that does not hold it, or holds 0, as of an estimate that it has too few queries for.
    """
    key, unit = METRICS.get(str(log.values.get("effective_scenario")), ("", ""))
    value = log.values.get(key)
    return Measurement(name=key, value=float(value), unit=unit) if isinstance(value, (int, float)) and value else None


def responses(log_dir: pathlib.Path) -> tuple[tuple[int, str], ...]:
    """(sample number, response in hexadecimal) of each line of the accuracy log in `log_dir`, as they were logged.

    MultiStream fills its last query up with samples that were answered before.

    Raises:
        OSError: there is none.
        ValueError: it is cut off, as that of a killed run, or no accuracy log.
    """
    path = log_dir / ACCURACY
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return tuple((int(entry["qsl_idx"]), str(entry["data"])) for entry in entries)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith(_PREFIX):
        return None
    try:
        entry = json.loads(line.removeprefix(_PREFIX))
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"key", "value", "metadata"} <= entry.keys() else None
