"""Several runs of one config, each in its own process, scored together by MLPerf's rules."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.compliance import checker, submission
from tfperf.compliance.verdict import Verdict, as_dict
from tfperf.errors import TfperfError
from tfperf.workspace import Workspace


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSeries:
    """The runs of one config.

    Attributes:
        directory: holds `runs/`, and `results/` and `systems/` in the layout of a submission.
        runs: the result of each run, with its `run_dir`.
        verdicts: the verdict on each run's log and, if there is a results folder, on all of them with their score.
        valid: whether every run reached its target.
    """

    directory: pathlib.Path
    runs: tuple[dict[str, Any], ...]
    verdicts: tuple[Verdict, ...]
    valid: bool


def train(
    command: Sequence[str], spec: specs.TrainSpec, benchmark: Benchmark, *, output_dir: pathlib.Path, runs: int
) -> RunSeries:
    """Runs a training command several times and scores the runs.

    Args:
        command: a `tfperf train` command line for one run, without an output directory.
        spec: the spec that the command trains.
        benchmark: the benchmark that `spec` names.
        output_dir: gets the directory of the series.
        runs: the number of runs.

    Raises:
        UsageError: the directory can't be made.
        TfperfError: a run failed.
    """
    home = Workspace(output_dir=output_dir, name=f"{benchmark.name}-{runs}-runs").make_run_dir()
    results = tuple(
        _run([*command, *seed_of(spec, number)], home / "runs", number=number, of=runs) for number in range(1, runs + 1)
    )
    logs = [pathlib.Path(result["run_dir"]) / "mllog.txt" for result in results]
    if spec.division is specs.Division.INTERNAL:
        checked = logs
    else:
        checked = [_results_folder(home, logs, spec, benchmark, system=results[0]["environment"])]
    verdicts = tuple(verdict for path in checked for verdict in checker.check(path))
    return RunSeries(directory=home, runs=results, verdicts=verdicts, valid=all(result["valid"] for result in results))


def report(series: RunSeries) -> dict[str, Any]:
    """The series as plain JSON values."""
    return {
        "kind": "train_series",
        "valid": series.valid,
        "run_dir": str(series.directory),
        "runs": list(series.runs),
        "verdicts": [as_dict(verdict) for verdict in series.verdicts],
    }


def seed_of(spec: specs.TrainSpec, number: int) -> list[str]:
    """The flag for the seed of a run, counted from 1: a given seed is the first run's, the next ones follow it."""
    return [] if spec.seed is None else [f"--set=seed={(spec.seed + number - 1) % 2**31}"]


def _run(command: Sequence[str], output_dir: pathlib.Path, *, number: int, of: int) -> dict[str, Any]:
    line = [*command, "--runs=1", "--format=json", f"--output_dir={output_dir}"]
    child = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    try:
        result = json.loads(child.stdout)
    except json.JSONDecodeError as error:
        raise TfperfError(
            f"Run {number} of {of} failed with exit code {child.returncode}; its message is above."
        ) from error
    if not isinstance(result, dict):
        raise TfperfError(f"Run {number} of {of} printed {result!r} in place of a result.")
    return result


def _logged_name(benchmark: Benchmark) -> str:
    if benchmarks.is_mlperf(benchmark):
        return benchmarks.training_task(benchmark).submission_benchmark
    return benchmark.name


def _results_folder(
    directory: pathlib.Path,
    logs: Sequence[pathlib.Path],
    spec: specs.TrainSpec,
    benchmark: Benchmark,
    *,
    system: dict[str, Any],
) -> pathlib.Path:
    packages = system["packages"]
    return submission.write_results_folder(
        directory,
        logs,
        benchmark=_logged_name(benchmark),
        platform=spec.submission.platform or system["platform"],
        division=str(spec.division),
        description={
            "host_processor_model_name": str(system["cpu"]),
            "host_processor_vcpu_count": str(system["cpu_logical_cores"]),
            "host_memory_capacity": f"{system['memory_bytes'] / 2**30:.0f} GiB",
            "accelerators_per_node": str(system["gpu_count"]),
            "accelerator_model_name": str(system["gpu"]),
            "framework": f"TensorFlow {packages['tensorflow']}, Keras {packages['keras']}",
            "operating_system": str(system["operating_system"]),
            "sw_notes": f"tfperf {system['code_version']}",
        },
    )
