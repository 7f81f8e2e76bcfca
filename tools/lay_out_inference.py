#!/usr/bin/env python3
"""Lays out the run directories of one system as a submission to MLPerf Inference v6.1, for MLCommons' checker.

    .venv/bin/python tools/lay_out_inference.py RUN... --submitter ORG --system NAME --output TREE
    cd PARENT_OF_A_CHECKOUT_OF_mlcommons/inference
    python -m inference.tools.submission.submission_checker.main --input TREE --version v6.1

Each RUN holds one scenario with its performance and accuracy runs and, in the closed division, TEST01 and TEST04. What
`tfperf check` says of each is printed; the tree is laid out whatever that is. The layout is that of
`tools/submission/submission_structure.md` in mlcommons/inference, as its checker reads it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfperf import benchmarks, loadgen_log, result
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.compliance import audits, serving_checker
from tfperf.errors import TfperfError, UsageError

# tools/submission/truncate_accuracy_log.py of mlcommons/inference
_LARGEST_LOG = 10 * 1024
_KEPT_AT_EACH_END = 4096

_NOT_TOLD = "not told"
# SYSTEM_DESC_REQUIRED_FIELDS of submission_checker/constants.py at v6.1, but for those that `_system` knows.
_UNKNOWN_FIELDS = (
    *("host_processor_frequency", "host_processor_caches", "host_processor_interconnect", "host_memory_configuration"),
    *("host_storage_capacity", "host_storage_type", "host_networking", "host_networking_topology"),
    *("host_network_card_count", "accelerator_memory_capacity", "accelerator_memory_configuration"),
    *("accelerator_host_interconnect", "accelerator_interconnect", "accelerator_interconnect_topology"),
    *("accelerator_frequency", "accelerator_on-chip_memories", "cooling", "hw_notes", "sw_notes", "system_type_detail"),
)


def main(argv: list[str] | None = None) -> int:
    """Lays out the tree, and prints what `tfperf check` says of each run."""
    arguments = _arguments(argv)
    try:
        lay_out(arguments.run, submitter=arguments.submitter, system=arguments.system, output=arguments.output)
    except TfperfError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("".join(f"{line}\n" for line in lacking(arguments.run)), end="")
    for run_dir in arguments.run:
        found = serving_checker.verdict(run_dir)
        print(f"{'good' if found.good else 'NOT GOOD'}: {run_dir}")
        print("".join(f"  - {violation.message}\n" for violation in found.violations), end="")
    print(arguments.output)
    return 0


def lay_out(run_dirs: Sequence[pathlib.Path], *, submitter: str, system: str, output: pathlib.Path) -> None:
    """Writes the tree.

    Args:
        run_dirs: one for each scenario of each benchmark, all of one division.
        submitter: the organisation, the name of a directory.
        system: its name, the name of a directory.
        output: the root of the tree; must not be there yet.

    Raises:
        UsageError: the runs don't make one submission, or a file is missing.
    """
    if output.exists():
        raise UsageError(f"{output} is there already. Choose another --output.")
    found = [_read(run_dir) for run_dir in run_dirs]
    division = _one_division(found, run_dirs)
    missing = [f"{run_dir / name} is missing." for run_dir in run_dirs for name in _needed(run_dir, division)]
    if missing:
        raise UsageError("\n".join(missing))
    root = output / division / submitter
    places = _places(found, run_dirs, root / "results" / system)
    for run_dir, outcome, place in zip(run_dirs, found, places, strict=True):
        _lay_out_run(run_dir, outcome, _task(outcome.benchmark), place)
    scenarios = {outcome.scenario for outcome in found}
    description = _system(found[0], division=division, submitter=submitter, system=system, scenarios=scenarios)
    _write(root / "systems" / f"{system}.json", json.dumps(description, indent=2) + "\n")
    code = found[0].environment.get("code_version", "unknown")
    _write(root / "src" / "README.md", f"Measured with tfperf {code}.\n")


def lacking(run_dirs: Sequence[pathlib.Path]) -> Iterator[str]:
    """The scenarios that a closed submission on an edge system must hold and these runs don't."""
    found = [_read(run_dir) for run_dir in run_dirs]
    for name in sorted({outcome.benchmark for outcome in found if outcome.division == "closed"}):
        ran = {outcome.scenario.lower() for outcome in found if outcome.benchmark == name}
        missing = [scenario for scenario in _task(name).closed_scenarios if scenario not in ran]
        if missing:
            yield f"LACKING: {name} must run {', '.join(missing)}, too, to be closed."


def _read(run_dir: pathlib.Path) -> result.InferResult:
    try:
        outcome = result.read(run_dir / "result.json")
    except (OSError, ValueError) as error:
        raise UsageError(f"{run_dir} is no run directory: {error}") from error
    if not isinstance(outcome, result.InferResult):
        raise UsageError(f"{run_dir} is a training run. Accepted: run directories of tfperf infer.")
    return outcome


def _one_division(found: Sequence[result.InferResult], run_dirs: Sequence[pathlib.Path]) -> str:
    divisions = {outcome.division for outcome in found}
    if len(divisions) > 1 or not divisions <= {"closed", "open"}:
        told = ", ".join(f"{path}: {outcome.division}" for path, outcome in zip(run_dirs, found, strict=True))
        raise UsageError(f"A submission is closed or open as a whole. Got {told}.")
    return divisions.pop()


def _places(
    found: Sequence[result.InferResult], run_dirs: Sequence[pathlib.Path], folder: pathlib.Path
) -> list[pathlib.Path]:
    places = [folder / _task(outcome.benchmark).submission_benchmark / outcome.scenario for outcome in found]
    again = [run_dir for place, run_dir in zip(places, run_dirs, strict=True) if places.count(place) > 1]
    if again:
        raise UsageError(f"{', '.join(map(str, again))} are runs of the same. Give one.")
    return places


def _task(name: str) -> InferenceTask:
    benchmark = benchmarks.get(name) if name in benchmarks.names() else None
    if benchmark is None or benchmark.inference is None or not benchmark.mlperf:
        raise UsageError(f"{name} is not an MLPerf benchmark and can't be submitted.")
    return benchmark.inference


def _needed(run_dir: pathlib.Path, division: str) -> Iterator[str]:
    logs = (loadgen_log.DETAIL, loadgen_log.SUMMARY)
    names = ["user.conf", f"accuracy/{loadgen_log.ACCURACY}", "accuracy/accuracy.txt"]
    names += [f"{role}/{log}" for role in ("performance", "accuracy") for log in logs]
    if division == "closed":
        names += [f"{test}/performance/{log}" for test in audits.NAMES for log in logs]
        names += [f"{test}/{audits.PERFORMANCE_FILE}" for test in audits.NAMES]
        names += [f"TEST01/{audits.ACCURACY_FILE}", f"TEST01/performance/{loadgen_log.ACCURACY}"]
    yield from (name for name in names if not (run_dir / name).is_file())


def _lay_out_run(run_dir: pathlib.Path, outcome: result.InferResult, task: InferenceTask, place: pathlib.Path) -> None:
    _write(place / "measurements.json", json.dumps(_measurements(outcome), indent=2) + "\n")
    shutil.copy(run_dir / "user.conf", place / "user.conf")
    _write(place / "README.md", f"# {outcome.benchmark}, {outcome.scenario}\n\n{_how(outcome)}\n")
    _copy_logs(run_dir / "performance", place / "performance" / "run_1")
    _copy_logs(run_dir / "accuracy", place / "accuracy")
    line = (run_dir / "accuracy" / "accuracy.txt").read_text(encoding="utf-8")
    _truncate(run_dir / "accuracy" / loadgen_log.ACCURACY, place / "accuracy", line=line)
    if outcome.division != "closed":
        return
    for test in task.audits:
        _copy_logs(run_dir / test / "performance", place / test / "performance" / "run_1")
        for file in (audits.ACCURACY_FILE, audits.PERFORMANCE_FILE):
            if (run_dir / test / file).is_file():
                shutil.copy(run_dir / test / file, place / test / file)
    sampled = run_dir / "TEST01" / "performance" / loadgen_log.ACCURACY
    _truncate(sampled, place / "TEST01" / "accuracy", line="")


def _copy_logs(log_dir: pathlib.Path, place: pathlib.Path) -> None:
    place.mkdir(parents=True)
    for name in (loadgen_log.DETAIL, loadgen_log.SUMMARY):
        shutil.copy(log_dir / name, place / name)


def _truncate(log: pathlib.Path, place: pathlib.Path, *, line: str) -> None:
    """Both ends of the accuracy log, and `accuracy.txt` with `line` and the digest of the whole log."""
    content = log.read_bytes()
    ends = (content[:_KEPT_AT_EACH_END], content[-_KEPT_AT_EACH_END:])
    kept = ends if len(content) > _LARGEST_LOG else (content,)
    place.mkdir(parents=True, exist_ok=True)
    (place / log.name).write_bytes(b"\n\n...\n\n".join(kept))
    _write(place / "accuracy.txt", f"{line}\nhash={hashlib.sha256(content).hexdigest()}\n")


def _measurements(outcome: result.InferResult) -> dict[str, str]:
    precision = (outcome.executable or "unknown").rpartition("-")[2]
    weights = pathlib.PurePath(outcome.weights.get("path", _NOT_TOLD)).name
    return {
        "input_data_types": "int8" if precision == "int8" else "fp32",
        "retraining": "no" if outcome.closed_eligible else _NOT_TOLD,
        "starting_weights_filename": weights,
        "weight_data_types": precision,
        "weight_transformations": f"compiled as {outcome.executable}, {_sizes(outcome)}",
    }


def _how(outcome: result.InferResult) -> str:
    command = " ".join(map(str, outcome.environment.get("command", ()))) or _NOT_TOLD
    weights = outcome.weights.get("sha256", _NOT_TOLD)
    return f"Command: `{command}`\n\nModel: {outcome.executable}, {_sizes(outcome)}. SHA-256 of the weights: {weights}."


def _sizes(outcome: result.InferResult) -> str:
    return f"batch sizes {', '.join(map(str, outcome.batch_sizes)) or _NOT_TOLD}"


def _system(
    outcome: result.InferResult, *, division: str, submitter: str, system: str, scenarios: set[str]
) -> Mapping[str, Any]:
    captured = outcome.environment
    packages = captured.get("packages", {})
    memory_gb = int(captured.get("memory_bytes", 0)) / 1e9
    return {
        **dict.fromkeys(_UNKNOWN_FIELDS, _NOT_TOLD),
        "division": division,
        "submitter": submitter,
        "status": "available",
        # required-scenarios-* of MODEL_CONFIG at v6.1: ResNet-50 has Server only on systems of both suites.
        "system_type": "datacenter,edge" if "Server" in scenarios else "edge",
        "system_name": system,
        "number_of_nodes": "1",
        "host_processor_model_name": captured.get("cpu", _NOT_TOLD),
        "host_processors_per_node": "1",
        "host_processor_core_count": str(captured.get("cpu_logical_cores", _NOT_TOLD)),
        "host_memory_capacity": f"{memory_gb:.0f} GB",
        "accelerators_per_node": str(captured.get("gpu_count", 0)),
        "accelerator_model_name": str(captured.get("gpu", "none")),
        "framework": f"TensorFlow {packages.get('tensorflow', _NOT_TOLD)}, Keras {packages.get('keras', _NOT_TOLD)}",
        "operating_system": captured.get("operating_system", _NOT_TOLD),
        "other_software_stack": f"tfperf {captured.get('code_version', _NOT_TOLD)}",
    }


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, nargs="+", help="run directories, one to a scenario")
    parser.add_argument("--submitter", required=True, help="the organisation")
    parser.add_argument("--system", required=True, help="the system's name")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the root of the tree, not there yet")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
