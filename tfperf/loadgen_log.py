"""LoadGen's logs as values: the detail log, one `:::MLLOG {json}` to a line, and the responses of the accuracy log."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfperf import json_text
from tfperf.result import Measurement

DETAIL = "mlperf_log_detail.txt"
SUMMARY = "mlperf_log_summary.txt"
ACCURACY = "mlperf_log_accuracy.json"
_PREFIX = ":::MLLOG "

# RESULT_FIELD_NEW of tools/submission/submission_checker/constants.py in mlcommons/inference: the key and the unit of
# each scenario's metric. The latencies are early-stopping estimates and not the plain percentiles.
METRICS = {
    "SingleStream": ("early_stopping_latency_ss", "ns"),
    "MultiStream": ("early_stopping_latency_ms", "ns"),
    "Server": ("result_completed_samples_per_sec", "samples/s"),
    "Offline": ("result_samples_per_second", "samples/s"),
}
_PERCENTILES = {"p50": "50.00", "p90": "90.00", "p95": "95.00", "p99": "99.00", "p99_9": "99.90"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadgenLog:
    """A detail log.

    Attributes:
        values: the value of each key; the last value where a key appears more than once.
        errors: the error lines, as `key: value`.
        warnings: the warning lines, as `key: value`.
        ended: whether LoadGen finished the run and wrote its last line.
    """

    values: Mapping[str, Any]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    ended: bool


def read(log_dir: pathlib.Path) -> LoadgenLog:
    """Reads the detail log in `log_dir`. Skips lines that are cut off, such as the last line of a killed run.

    Raises:
        OSError: there is no detail log.
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
    # LoadGen writes the number of errors last, except in accuracy mode, where the end of the power measurement is last.
    last = "power_end" if values.get("effective_test_mode") == "AccuracyOnly" else "num_errors"
    return LoadgenLog(values=values, errors=tuple(errors), warnings=tuple(warnings), ended=last in values)


def metric(log: LoadgenLog) -> Measurement | None:
    """The metric of a performance run, under LoadGen's name for it.

    Returns:
        None if the log lacks it or holds 0, as for an estimate from too few queries.
    """
    key, unit = METRICS.get(str(log.values.get("effective_scenario")), ("", ""))
    value = log.values.get(key)
    return Measurement(name=key, value=float(value), unit=unit) if isinstance(value, (int, float)) and value else None


def latencies_ns(scenario: str, values: Mapping[str, Any]) -> dict[str, float]:
    """LoadGen's percentiles p50, p90, p95, p99 and p99_9, of queries in MultiStream; without those that are missing."""
    suffix = "per_query_latency_ns" if scenario == "MultiStream" else "latency_ns"
    keys = {name: f"result_{percent}_percentile_{suffix}" for name, percent in _PERCENTILES.items()}
    return {name: float(values[key]) for name, key in keys.items() if isinstance(values.get(key), int | float)}


def responses(log_dir: pathlib.Path) -> tuple[tuple[int, str], ...]:
    """(sample number, response in hexadecimal) for each line of the accuracy log in `log_dir`, in its order.

    MultiStream fills up its last query with samples that were answered before.

    Raises:
        OSError: there is no accuracy log.
        ValueError: it is cut off, as after a killed run, or it is not an accuracy log.
    """
    path = log_dir / ACCURACY
    try:
        entries = json_text.parse(path.read_text(encoding="utf-8"))
        return tuple((int(entry["qsl_idx"]), str(entry["data"])) for entry in entries)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error


def first_answers(logged: Iterable[tuple[int, str]]) -> dict[int, bytes]:
    """The response to each sample by number; the first one where a sample was answered more than once.

    Raises:
        ValueError: a response is not hexadecimal.
    """
    found: dict[int, str] = {}
    for number, data in logged:
        found.setdefault(number, data)
    return {number: bytes.fromhex(data) for number, data in found.items()}


def answers(log_dir: pathlib.Path) -> dict[int, bytes]:
    """The first response to each sample in the accuracy log in `log_dir`, by number.

    Raises:
        OSError: there is no accuracy log.
        ValueError: it can't be read.
    """
    return first_answers(responses(log_dir))


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith(_PREFIX):
        return None
    try:
        entry = json_text.parse(line.removeprefix(_PREFIX))
    except ValueError:
        return None
    if not isinstance(entry, dict) or not {"key", "value", "metadata"} <= entry.keys():
        return None
    return entry if isinstance(entry["key"], str) and isinstance(entry["metadata"], dict) else None
