"""Several runs of one config, each in a process of its own, scored together the MLPerf way."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any

from tfperf import directory, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.compliance import checker, submission
from tfperf.compliance.verdict import Verdict, as_dict
from tfperf.errors import TfperfError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """The runs of one config.

    Attributes:
        directory: holds `runs/`, and `results/` and `systems/` as they are handed in.
        runs: the result of each run, with its `run_dir`.
        verdicts: on each run's log and, where there is a results folder, on all of them together with their score.
        valid: whether every run reached its target.
    """

    directory: pathlib.Path
    runs: tuple[dict[str, Any], ...]
    verdicts: tuple[Verdict, ...]
    valid: bool


def train(
    command: Sequence[str], asked: spec.TrainSpec, benchmark: Benchmark, *, output_dir: pathlib.Path, runs: int
) -> Series:
    """Runs a training command several times and scores the runs.

    Args:
        command: a `tfperf train` command line for one run, without an output directory.
        asked: what the command trains.
        benchmark: the benchmark that `asked` names.
        output_dir: gets the directory of the series.
        runs: how many.

    Raises:
        UsageError: the directory can't be made.
        TfperfError: a run failed.
    """
    home = directory.make(output_dir, name=f"{benchmark.name}-{runs}-runs")
    results = tuple(_run(command, home / "runs", number=number, of=runs) for number in range(1, runs + 1))
    logs = [pathlib.Path(outcome["run_dir"]) / "mllog.txt" for outcome in results]
    if asked.division is spec.Division.INTERNAL:
        checked = logs
    else:
        checked = [_results_folder(home, logs, asked, benchmark, system=results[0]["environment"])]
    verdicts = tuple(verdict for path in checked for verdict in checker.check(path))
    return Series(directory=home, runs=results, verdicts=verdicts, valid=all(outcome["valid"] for outcome in results))


def report(series: Series) -> dict[str, Any]:
    """The series as plain JSON values."""
    return {
        "kind": "train_series",
        "valid": series.valid,
        "run_dir": str(series.directory),
        "runs": list(series.runs),
        "verdicts": [as_dict(verdict) for verdict in series.verdicts],
    }


def _run(command: Sequence[str], output_dir: pathlib.Path, *, number: int, of: int) -> dict[str, Any]:
    line = [*command, "--runs=1", "--format=json", f"--output_dir={output_dir}"]
    child = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    try:
        outcome = json.loads(child.stdout)
    except json.JSONDecodeError as error:
        raise TfperfError(
            f"Run {number} of {of} failed with exit code {child.returncode}; its message is above."
        ) from error
    if not isinstance(outcome, dict):
        raise TfperfError(f"Run {number} of {of} printed {outcome!r} in place of a result.")
    return outcome


def _results_folder(
    directory: pathlib.Path,
    logs: Sequence[pathlib.Path],
    asked: spec.TrainSpec,
    benchmark: Benchmark,
    *,
    system: dict[str, Any],
) -> pathlib.Path:
    packages = system["packages"]
    return submission.write_results_folder(
        directory,
        logs,
        benchmark=benchmark.training.submission_benchmark if benchmark.mlperf else benchmark.name,
        platform=asked.submission.platform or system["platform"],
        division=str(asked.division),
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
