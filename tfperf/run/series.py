"""Several runs of one config, each in its own process, scored together by MLPerf's rules."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from tfperf import benchmarks, config, whole_file
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.compliance import checker, submission
from tfperf.compliance.verdict import Verdict, as_dict
from tfperf.errors import TfperfError, UsageError
from tfperf.run import run_process
from tfperf.system import assembly, cluster
from tfperf.workspace import Workspace

STATE = "series.json"
_FINISHED = (0, 4)  # the target was reached, or missed
_USAGE = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSeries:
    """The runs of one config.

    Attributes:
        directory: holds `runs/`, and `results/` and `systems/` in the layout of a submission. None on workers other
            than the first, which have no results.
        wanted: the number of runs that the series should have.
        runs: the result of each run that finished, with its `run_dir`.
        verdicts: the verdict on each run's log and, if there is a results folder, on all of them with their score.
        failures: the runs that failed, each with its exit code.
        interrupted: whether the series was interrupted.
    """

    directory: pathlib.Path | None
    wanted: int
    runs: tuple[dict[str, Any], ...]
    verdicts: tuple[Verdict, ...]
    failures: tuple[str, ...]
    interrupted: bool

    @property
    def complete(self) -> bool:
        """Whether no run failed or is missing."""
        return not self.failures and not self.interrupted and len(self.runs) == self.wanted

    @property
    def valid(self) -> bool:
        """Whether every run reached its target."""
        return self.complete and all(result["valid"] for result in self.runs)


def train(
    command: Sequence[str],
    spec: specs.TrainSpec,
    benchmark: Benchmark,
    *,
    output_dir: pathlib.Path,
    runs: int,
    resume: pathlib.Path | None = None,
    worker_timeout_s: float = assembly.WORKER_TIMEOUT_S,
) -> RunSeries:
    """Runs a training command several times and scores the runs that finish.

    A run that fails doesn't end the series; the second in a row does. On several hosts every worker calls this, and the
    first one decides which run is next.

    Args:
        command: a `tfperf train` command line for one run, without an output directory.
        spec: the spec that the command trains.
        benchmark: the benchmark that `spec` names.
        output_dir: gets the directory of the series.
        runs: the number of runs.
        resume: the directory of an earlier series, whose finished runs are kept. Only the first worker uses it.
        worker_timeout_s: seconds to wait at most for the other workers, before each run.

    Raises:
        UsageError: the directory can't be made, or can't be resumed with this config and number of runs.
        TfperfError: a worker is missing, or a run printed something other than its result.
    """
    workers = cluster.from_environment()
    if not workers.is_chief:
        return _followed(command, spec, workers, output_dir=output_dir, runs=runs, timeout_s=worker_timeout_s)
    if resume is None:
        home = Workspace(output_dir=output_dir, name=f"{benchmark.name}-{runs}-runs").make_run_dir()
        finished: dict[int, str] = {}
        _keep(home, spec, finished)
    else:
        home, finished = resume, _finished_before(resume, spec, runs=runs)
    failures: list[str] = []
    interrupted = failed_before = False
    try:
        for number in [number for number in range(1, runs + 1) if number not in finished]:
            _next_run(workers, number, timeout_s=worker_timeout_s)
            ended = _run([*command, *seed_of(spec, number)], home / "runs")
            failed = ended.exit_code not in _FINISHED
            if not failed:
                finished[number] = _run_dir(ended).name
                _keep(home, spec, finished)
            interrupted = ended.interrupted and len(finished) < runs
            if failed and not interrupted:
                failures.append(_failure(number, runs, ended))
            if interrupted or ended.exit_code == _USAGE or (failed and failed_before):
                break
            failed_before = failed
        if not interrupted:
            _next_run(workers, None, timeout_s=worker_timeout_s)
    except (KeyboardInterrupt, assembly.InterruptedWorkerError):
        interrupted = True
    return _scored(home, finished, spec, benchmark, wanted=runs, failures=failures, interrupted=interrupted)


def report(series: RunSeries) -> dict[str, Any]:
    """The series as plain JSON values."""
    return {
        "kind": "train_series",
        "valid": series.valid,
        "reasons": [*series.failures, *(["interrupted"] if series.interrupted else [])],
        "run_dir": str(series.directory),
        "runs": list(series.runs),
        "verdicts": [as_dict(verdict) for verdict in series.verdicts],
    }


def seed_of(spec: specs.TrainSpec, number: int) -> list[str]:
    """The flag for the seed of a run, counted from 1: a given seed is the first run's, the next ones follow it."""
    return [] if spec.seed is None else [f"--set=seed={(spec.seed + number - 1) % 2**31}"]


def _followed(
    command: Sequence[str],
    spec: specs.TrainSpec,
    workers: cluster.Cluster,
    *,
    output_dir: pathlib.Path,
    runs: int,
    timeout_s: float,
) -> RunSeries:
    """The part of a worker that is not the first: it is judged by exit codes, since it has no results."""
    failures: list[str] = []
    interrupted = False
    try:
        while (number := _next_run(workers, None, timeout_s=timeout_s)) is not None:
            ended = _run([*command, *seed_of(spec, number)], output_dir)
            interrupted = ended.interrupted
            if interrupted:
                break
            if ended.exit_code not in _FINISHED:
                failures.append(_failure(number, runs, ended))
    except (KeyboardInterrupt, assembly.InterruptedWorkerError):
        interrupted = True
    return RunSeries(directory=None, wanted=0, runs=(), verdicts=(), failures=tuple(failures), interrupted=interrupted)


def _next_run(workers: cluster.Cluster, number: int | None, *, timeout_s: float) -> int | None:
    """The number of the next run, which all workers get from the first; None if there is none."""
    with assembly.assembled(workers, timeout_s=timeout_s) as together:
        found: int | None = together.exchange(number)[0]
    return found


def _run_dir(ended: run_process.EndedRun) -> pathlib.Path:
    try:
        return pathlib.Path(json.loads(ended.printed)["run_dir"])
    except (ValueError, KeyError, TypeError) as error:
        raise TfperfError(f"A run printed {ended.printed[:200]!r} in place of a result.") from error


def _failure(number: int, runs: int, ended: run_process.EndedRun) -> str:
    return f"Run {number} of {runs} failed with exit code {ended.exit_code}; its message is above."


def _run(command: Sequence[str], output_dir: pathlib.Path) -> run_process.EndedRun:
    return run_process.run([*command, "--runs=1", "--format=json", f"--output_dir={output_dir}"])


def _keep(home: pathlib.Path, spec: specs.TrainSpec, finished: dict[int, str]) -> None:
    """Notes which runs have finished."""
    state = {"config": config.dump(spec), "finished": {str(number): name for number, name in finished.items()}}
    whole_file.write(home / STATE, json.dumps(state, indent=2) + "\n")


def _finished_before(home: pathlib.Path, spec: specs.TrainSpec, *, runs: int) -> dict[int, str]:
    """The runs of an earlier series that have finished, by number."""
    try:
        state = json.loads((home / STATE).read_text(encoding="utf-8"))
        trained, finished = state["config"], {int(number): str(name) for number, name in state["finished"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"--resume {home}: no series of runs is there ({STATE}: {error}). Pass the series directory that "
            "`tfperf train --runs` printed."
        ) from error
    if trained != config.dump(spec):
        raise UsageError(f"--resume {home}: its runs have another config. Repeat the command that started the series.")
    if finished and max(finished) > runs:
        raise UsageError(f"--resume {home}: run {max(finished)} has finished. Pass --runs={max(finished)} or more.")
    return finished


def _scored(
    home: pathlib.Path,
    finished: dict[int, str],
    spec: specs.TrainSpec,
    benchmark: Benchmark,
    *,
    wanted: int,
    failures: Sequence[str],
    interrupted: bool,
) -> RunSeries:
    folders = [home / "runs" / finished[number] for number in sorted(finished)]
    results = tuple(
        {**json.loads((folder / "result.json").read_text(encoding="utf-8")), "run_dir": str(folder)}
        for folder in folders
    )
    checked = [folder / "mllog.txt" for folder in folders]
    shutil.rmtree(home / "results", ignore_errors=True)  # copies of the logs, from before the series was resumed
    if folders and spec.division is not specs.Division.INTERNAL:
        checked = [_results_folder(home, checked, spec, benchmark, system=results[0]["environment"])]
    return RunSeries(
        directory=home,
        wanted=wanted,
        runs=results,
        verdicts=tuple(verdict for path in checked for verdict in checker.check(path)),
        failures=tuple(failures),
        interrupted=interrupted,
    )


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
