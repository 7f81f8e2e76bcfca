"""Lays out the runs of a result as an MLPerf submission."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence

from tfperf.compliance import results
from tfperf.compliance.log import Log, read
from tfperf.errors import UsageError

# The fields that mlperf_logging's system_desc_checker requires.
_FIELDS = (
    "submitter",
    "division",
    "status",
    "system_name",
    "number_of_nodes",
    "host_processors_per_node",
    "host_processor_model_name",
    "host_processor_core_count",
    "host_processor_vcpu_count",
    "host_processor_frequency",
    "host_processor_caches",
    "host_processor_interconnect",
    "host_memory_capacity",
    "host_storage_type",
    "host_storage_capacity",
    "host_networking",
    "host_networking_topology",
    "host_memory_configuration",
    "accelerators_per_node",
    "accelerator_model_name",
    "accelerator_host_interconnect",
    "accelerator_frequency",
    "accelerator_on-chip_memories",
    "accelerator_memory_configuration",
    "accelerator_memory_capacity",
    "accelerator_interconnect",
    "accelerator_interconnect_topology",
    "cooling",
    "hw_notes",
    "framework",
    "other_software_stack",
    "operating_system",
    "sw_notes",
)

# submission_status of a log -> status of a system description, from ruleset 4.0.0 on.
_AVAILABILITY = {
    "cloud": "Available cloud",
    "onprem": "Available on-premise",
    "preview": "Preview",
    "research": "Research, Development, or Internal (RDI)",
}

_DIVISIONS = ("closed", "open")


def write_results_folder(
    directory: pathlib.Path,
    logs: Sequence[pathlib.Path],
    *,
    benchmark: str,
    platform: str,
    division: str,
    description: Mapping[str, str],
) -> pathlib.Path:
    """Copies logs to `<directory>/results/<system>/<benchmark>/result_<i>.txt` and describes the system beside them.

    Args:
        directory: the submitter's folder. It may hold other results, and an existing description of the system stays.
        logs: the logs of all runs.
        benchmark: its name in MLPerf and in the logs.
        platform: the system's name. In file names, a dash replaces all but letters, digits, dots, dashes, underscores.
        division: closed or open.
        description: the known fields of the system description; the others become `N/A`.

    Returns:
        The folder with the logs.

    Raises:
        UsageError: a log has another benchmark or division, such as `internal`, the runs differ in more than their
            seeds, or the result already exists.
    """
    runs = [read(path) for path in logs]
    _require_same(runs, benchmark=benchmark, division=division)
    system = re.sub(r"[^\w.-]+", "-", platform).strip(".-") or "system"
    folder = directory / "results" / system / benchmark
    if folder.exists():
        raise UsageError(f"{folder} exists. A result is never overwritten: choose another directory.")
    text = _system(runs[0], platform=system, division=division, description=description)
    description_file = directory / "systems" / f"{system}.json"
    if not description_file.exists():  # an existing one may have been edited by the submitter
        description_file.parent.mkdir(parents=True, exist_ok=True)
        description_file.write_text(text, encoding="utf-8")
    _copy(logs, folder)
    return folder


def _require_same(runs: Sequence[Log], *, benchmark: str, division: str) -> None:
    if division not in _DIVISIONS:
        raise UsageError(
            f"division: got {division}. Accepted: {', '.join(_DIVISIONS)}. An internal run is not a result."
        )
    if not runs:
        raise UsageError("logs: got none. Pass the logs of all runs of the result.")
    found = [*_different(runs, {"submission_benchmark": benchmark, "submission_division": division})]
    found += [violation.message for violation in (*results.of_several_batch_sizes(runs), *results.differing(runs))]
    if found:
        raise UsageError("\n".join(found))


def _different(runs: Sequence[Log], expected: Mapping[str, str]) -> Iterator[str]:
    for log in runs:
        for key, value in expected.items():
            if log.text(key) != value:
                yield f"{log.path}: {key} is {log.text(key)!r}. Accepted: {value!r}. Pass only logs of this result."


def _system(log: Log, *, platform: str, division: str, description: Mapping[str, str]) -> str:
    unknown = sorted(set(description) - set(_FIELDS))
    if unknown:
        raise UsageError(f"description: unknown {', '.join(unknown)}. Accepted: {', '.join(_FIELDS)}.")
    fields = {
        **dict.fromkeys(_FIELDS, "N/A"),
        "submitter": log.text("submission_org") or "N/A",
        "status": _AVAILABILITY.get(log.text("submission_status") or "research", _AVAILABILITY["research"]),
        **description,
        "division": division,
        "system_name": platform,
    }
    return json.dumps(fields, indent=2) + "\n"


def _copy(logs: Sequence[pathlib.Path], folder: pathlib.Path) -> None:
    """Copies all logs, or none if one fails."""
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True)
    try:
        for index, log in enumerate(logs):
            shutil.copyfile(log, partial / f"result_{index}.txt")
        os.replace(partial, folder)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
