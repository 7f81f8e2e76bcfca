#!/usr/bin/env python3
"""Arranges the run directories of one system as a submission to MLPerf Inference, for MLCommons' checker.

    .venv/bin/python tools/lay_out_inference.py RUN... --submitter ORG --system NAME --output TREE
    cd PARENT_OF_A_CHECKOUT_OF_mlcommons/inference
    python -m inference.tools.submission.submission_checker.main --input TREE --version v6.1

The tree is one of v6.1, or of the last round that had the benchmark: v5.1 for RetinaNet.

Each RUN holds one scenario with its performance and accuracy runs and, in the closed division, its compliance tests.
The tool prints the verdict of `tfperf check` on each, and writes the tree whatever it is. The layout follows
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
from typing import Any, NamedTuple

from tfperf import benchmarks, loadgen_log, result
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.compliance import audit_baseline, audits, rounds, serving_checker
from tfperf.errors import TfperfError, UsageError

# tools/submission/truncate_accuracy_log.py of mlcommons/inference
_LARGEST_LOG = 10 * 1024
_KEPT_AT_EACH_END = 4096

_UNKNOWN = "not specified"
# SYSTEM_DESC_REQUIRED_FIELDS of submission_checker/constants.py at v6.1, except those that `_system` fills in.
_UNKNOWN_FIELDS = (
    *("host_processor_frequency", "host_processor_caches", "host_processor_interconnect", "host_memory_configuration"),
    *("host_storage_capacity", "host_storage_type", "host_networking", "host_networking_topology"),
    *("host_network_card_count", "accelerator_memory_capacity", "accelerator_memory_configuration"),
    *("accelerator_host_interconnect", "accelerator_interconnect", "accelerator_interconnect_topology"),
    *("accelerator_frequency", "accelerator_on-chip_memories", "cooling", "hw_notes", "sw_notes", "system_type_detail"),
)


class _Folders(NamedTuple):
    """Where the files of one scenario go.

    Attributes:
        results: LoadGen's logs.
        measurements: what describes the run.
        measurements_name: the file that describes the model there.
        audits: the compliance tests.
    """

    results: pathlib.Path
    measurements: pathlib.Path
    measurements_name: str
    audits: pathlib.Path


class _Layout(NamedTuple):
    """How a round lays a submission out: the paths in submission_checker/constants.py.

    Attributes:
        code: the folder of the code.
        results: the folder of the results, and likewise of the other two.
    """

    code: str
    results: str
    measurements: str
    audits: str

    def folders(self, root: pathlib.Path, system: str, target: pathlib.PurePath) -> _Folders:
        """The folders of one scenario.

        Args:
            root: the folder of the submitter.
            system: the system's name.
            target: benchmark and scenario.
        """
        results, measurements, audited = (
            root / part / system / target for part in (self.results, self.measurements, self.audits)
        )
        name = "measurements.json" if measurements == results else f"{system}.json"
        return _Folders(results=results, measurements=measurements, measurements_name=name, audits=audited)


_V5 = _Layout(code="code", results="results", measurements="measurements", audits="compliance")
_V6 = _Layout(code="src", results="results", measurements="results", audits="results")


def main(argv: list[str] | None = None) -> int:
    """Writes the tree, and prints the verdict of `tfperf check` on each run."""
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
        system: the system's name, which becomes the name of a directory.
        output: the root of the tree; must not exist.

    Raises:
        UsageError: the runs do not make one submission, or a file is missing.
    """
    if output.exists():
        raise UsageError(f"{output} exists. Choose another --output.")
    found = [_read(run_dir) for run_dir in run_dirs]
    division = _one_division(found, run_dirs)
    missing = [
        f"{run_dir / name} is missing."
        for run_dir, outcome in zip(run_dirs, found, strict=True)
        for name in _needed(run_dir, outcome)
    ]
    if missing:
        raise UsageError("\n".join(missing))
    root = output / division / submitter
    layout = _one_layout(found, run_dirs)
    targets = _targets(found, run_dirs)
    for run_dir, outcome, target in zip(run_dirs, found, targets, strict=True):
        _lay_out_run(run_dir, outcome, _task(outcome.benchmark), layout.folders(root, system, target))
    scenarios = {outcome.scenario for outcome in found}
    description = _system(found[0], division=division, submitter=submitter, system=system, scenarios=scenarios)
    _write(root / "systems" / f"{system}.json", json.dumps(description, indent=2) + "\n")
    code = found[0].environment.get("code_version", "unknown")
    _write(root / layout.code / "README.md", f"Measured with tfperf {code}.\n")


def lacking(run_dirs: Sequence[pathlib.Path]) -> Iterator[str]:
    """The scenarios that a closed submission of an edge system needs and these runs lack."""
    found = [_read(run_dir) for run_dir in run_dirs]
    for name in sorted({outcome.benchmark for outcome in found if outcome.division == "closed"}):
        ran = {outcome.scenario.lower() for outcome in found if outcome.benchmark == name}
        missing = [scenario for scenario in _task(name).closed_scenarios if scenario not in ran]
        if missing:
            yield f"LACKING: to be closed, {name} also needs runs of {', '.join(missing)}."


def _read(run_dir: pathlib.Path) -> result.InferResult:
    try:
        outcome = result.read(run_dir / "result.json")
    except (OSError, ValueError) as error:
        raise UsageError(f"{run_dir} is not a run directory: {error}") from error
    if not isinstance(outcome, result.InferResult):
        raise UsageError(f"{run_dir} is a training run. Accepted: run directories of tfperf infer.")
    return outcome


def _one_division(found: Sequence[result.InferResult], run_dirs: Sequence[pathlib.Path]) -> str:
    divisions = {outcome.division for outcome in found}
    if len(divisions) > 1 or not divisions <= {"closed", "open"}:
        divisions_of_runs = ", ".join(
            f"{path}: {outcome.division}" for path, outcome in zip(run_dirs, found, strict=True)
        )
        raise UsageError(f"All runs of a submission must be of one division, closed or open. Got {divisions_of_runs}.")
    return divisions.pop()


def _one_layout(found: Sequence[result.InferResult], run_dirs: Sequence[pathlib.Path]) -> _Layout:
    names = [rounds.of_task(_task(outcome.benchmark)).name for outcome in found]
    if len(set(names)) > 1:
        of_runs = ", ".join(f"{path}: {name}" for path, name in zip(run_dirs, names, strict=True))
        raise UsageError(f"All runs of a submission must be of one round of MLPerf. Got {of_runs}.")
    return _V5 if names[0] < "v6" else _V6


def _targets(found: Sequence[result.InferResult], run_dirs: Sequence[pathlib.Path]) -> list[pathlib.PurePath]:
    """The folder of each run, below that of the system."""
    targets = [pathlib.PurePath(_task(outcome.benchmark).submission_benchmark) / outcome.scenario for outcome in found]
    again = [run_dir for target, run_dir in zip(targets, run_dirs, strict=True) if targets.count(target) > 1]
    if again:
        raise UsageError(f"{', '.join(map(str, again))} are runs of the same benchmark and scenario. Pass one of them.")
    return targets


def _task(name: str) -> InferenceTask:
    benchmark = benchmarks.get(name) if name in benchmarks.names() else None
    served = None if benchmark is None or not benchmark.mlperf else benchmark.inference
    if served is None or not served.closed_scenarios:
        raise UsageError(f"{name} is not a benchmark of MLPerf Inference and can't be submitted.")
    return served


def _needed(run_dir: pathlib.Path, outcome: result.InferResult) -> Iterator[str]:
    task = _task(outcome.benchmark)
    logs = (loadgen_log.DETAIL, loadgen_log.SUMMARY)
    names = ["user.conf", f"accuracy/{loadgen_log.ACCURACY}", f"accuracy/{task.scoring.files[0]}"]
    names += [f"{role}/{log}" for role in ("performance", "accuracy") for log in logs]
    if outcome.division == "closed":
        names += [f"{test}/performance/{log}" for test in task.audits for log in logs]
        names += [f"{test}/{audits.PERFORMANCE_FILE}" for test in task.audits]
        if "TEST01" in task.audits:
            names += [f"TEST01/{audits.ACCURACY_FILE}", f"TEST01/performance/{loadgen_log.ACCURACY}"]
    yield from (name for name in names if not (run_dir / name).is_file())


def _lay_out_run(run_dir: pathlib.Path, outcome: result.InferResult, task: InferenceTask, folders: _Folders) -> None:
    described = json.dumps(_measurements(outcome, task), indent=2) + "\n"
    _write(folders.measurements / folders.measurements_name, described)
    shutil.copy(run_dir / "user.conf", folders.measurements / "user.conf")
    _write(folders.measurements / "README.md", f"# {outcome.benchmark}, {outcome.scenario}\n\n{_how(outcome)}\n")
    _copy_logs(run_dir / "performance", folders.results / "performance" / "run_1")
    _copy_logs(run_dir / "accuracy", folders.results / "accuracy")
    line = (run_dir / "accuracy" / task.scoring.files[0]).read_text(encoding="utf-8")
    _truncate(run_dir / "accuracy" / loadgen_log.ACCURACY, folders.results / "accuracy", line=line)
    if outcome.division == "closed":
        for test in task.audits:
            _lay_out_audit(run_dir / test, folders.audits / test)


def _lay_out_audit(audit_dir: pathlib.Path, target: pathlib.Path) -> None:
    _copy_logs(audit_dir / "performance", target / "performance" / "run_1")
    for file in (audits.ACCURACY_FILE, audits.PERFORMANCE_FILE):
        if (audit_dir / file).is_file():
            shutil.copy(audit_dir / file, target / file)
    if not (audit_dir / audits.ACCURACY_FILE).is_file():
        return
    _truncate(audit_dir / "performance" / loadgen_log.ACCURACY, target / "accuracy", line="")
    for file in audit_baseline.FILES:  # where the responses agree in accuracy and not in bits
        if (audit_dir / "accuracy" / file).is_file():
            shutil.copy(audit_dir / "accuracy" / file, target / "accuracy" / file)


def _copy_logs(log_dir: pathlib.Path, target: pathlib.Path) -> None:
    target.mkdir(parents=True)
    for name in (loadgen_log.DETAIL, loadgen_log.SUMMARY):
        shutil.copy(log_dir / name, target / name)


def _truncate(log: pathlib.Path, target: pathlib.Path, *, line: str) -> None:
    """Writes both ends of the accuracy log, and `accuracy.txt` with `line` and the digest of the whole log."""
    content = log.read_bytes()
    ends = (content[:_KEPT_AT_EACH_END], content[-_KEPT_AT_EACH_END:])
    kept = ends if len(content) > _LARGEST_LOG else (content,)
    target.mkdir(parents=True, exist_ok=True)
    (target / log.name).write_bytes(b"\n\n...\n\n".join(kept))
    _write(target / "accuracy.txt", f"{line}\nhash={hashlib.sha256(content).hexdigest()}\n")


def _measurements(outcome: result.InferResult, task: InferenceTask) -> dict[str, str]:
    precision = (outcome.executable or "unknown").rpartition("-")[2]
    weights = pathlib.PurePath(outcome.weights.get("path", _UNKNOWN)).name
    floats = "int8" if precision == "int8" else "fp32"
    types = {floats if tensor.dtype == "float32" else tensor.dtype for tensor in task.inputs(task.options)}
    return {
        "input_data_types": ", ".join(sorted(types)),
        "retraining": "no" if outcome.closed_eligible else _UNKNOWN,
        "starting_weights_filename": weights,
        "weight_data_types": precision,
        "weight_transformations": f"compiled as {outcome.executable}, {_sizes(outcome)}",
    }


def _how(outcome: result.InferResult) -> str:
    command = " ".join(map(str, outcome.environment.get("command", ()))) or _UNKNOWN
    weights = outcome.weights.get("sha256", _UNKNOWN)
    return f"Command: `{command}`\n\nModel: {outcome.executable}, {_sizes(outcome)}. SHA-256 of the weights: {weights}."


def _sizes(outcome: result.InferResult) -> str:
    return f"batch sizes {', '.join(map(str, outcome.batch_sizes)) or _UNKNOWN}"


def _system(
    outcome: result.InferResult, *, division: str, submitter: str, system: str, scenarios: set[str]
) -> Mapping[str, Any]:
    captured = outcome.environment
    packages = captured.get("packages", {})
    memory_gb = int(captured.get("memory_bytes", 0)) / 1e9
    return {
        **dict.fromkeys(_UNKNOWN_FIELDS, _UNKNOWN),
        "division": division,
        "submitter": submitter,
        "status": "available",
        # required-scenarios-* of MODEL_CONFIG: Server is only for systems of the datacenter suite.
        "system_type": "datacenter,edge" if "Server" in scenarios else "edge",
        "system_name": system,
        "number_of_nodes": "1",
        "host_processor_model_name": captured.get("cpu", _UNKNOWN),
        "host_processors_per_node": "1",
        "host_processor_core_count": str(captured.get("cpu_logical_cores", _UNKNOWN)),
        "host_memory_capacity": f"{memory_gb:.0f} GB",
        "accelerators_per_node": str(captured.get("gpu_count", 0)),
        "accelerator_model_name": str(captured.get("gpu", "none")),
        "framework": f"TensorFlow {packages.get('tensorflow', _UNKNOWN)}, Keras {packages.get('keras', _UNKNOWN)}",
        "operating_system": captured.get("operating_system", _UNKNOWN),
        "other_software_stack": f"tfperf {captured.get('code_version', _UNKNOWN)}",
    }


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, nargs="+", help="run directories, one for each scenario")
    parser.add_argument("--submitter", required=True, help="the organisation")
    parser.add_argument("--system", required=True, help="the system's name")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the root of the tree, which must not exist")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
