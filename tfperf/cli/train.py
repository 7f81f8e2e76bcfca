"""Trains a benchmark to its quality target.

Example: tfperf train --config resnet50-mini --set optimizer.sgd.base_learning_rate=0.05
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from absl import flags

from tfperf import benchmarks, config, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, quality_of
from tfperf.cli import check, named_benchmark, published_metrics, quiet, shared_flags
from tfperf.compliance import rules
from tfperf.errors import UsageError
from tfperf.reporting import table
from tfperf.system import assembly, cluster, devices
from tfperf.workspace import Workspace

if TYPE_CHECKING:
    from tfperf.run.series import RunSeries

_TARGET_MISSED = 4


def define_flags() -> None:
    """The flags of `tfperf train`."""
    shared_flags.define_run()
    published_metrics.define()
    flags.DEFINE_integer("runs", 1, "Runs of this config, each in a new process, scored together.", lower_bound=1)
    flags.DEFINE_bool(
        "profile",
        False,
        "Profile a few steps for TensorBoard: in a closed run before its clock starts, on synthetic batches and so "
        "without the input pipeline; in other runs after 10 steps, which the result notes.",
    )
    flags.DEFINE_string(
        "resume", None, "The directory of an unfinished --runs series: keeps its finished runs, makes the missing ones."
    )
    flags.DEFINE_float(
        "worker_timeout_s",
        assembly.WORKER_TIMEOUT_S,
        "Seconds to wait for the other workers that TF_CONFIG names.",
        lower_bound=0.0,
    )


def main(arguments: list[str]) -> int:
    """Trains and prints the result."""
    values = flags.FLAGS
    shared_flags.check_run("train", arguments)
    spec = config.load(values.config, task_of=named_benchmark.task, overrides=values.set)
    benchmark = benchmarks.get(spec.benchmark)
    workspace = shared_flags.workspace()
    cluster.from_environment()  # refuses a malformed TF_CONFIG before TensorFlow is imported, and in a dry run
    if values.dry_run:
        _check_device(workspace.device)
        if shared_flags.data_dir_found(spec.data.source):
            shared_flags.check_initial_weights(spec, benchmarks.training_task(benchmark))
        return _dry_run(spec, benchmark)
    published_metrics.check()
    rules.check_training(spec, benchmark)
    shared_flags.check_data_dir(spec.data.source)
    shared_flags.check_initial_weights(spec, benchmarks.training_task(benchmark))
    if values.resume and values.runs == 1:
        raise UsageError("--resume continues a series of runs. Pass the --runs of that series too.")
    if values.runs > 1:
        return _repeat(spec, benchmark)
    return _train(spec, benchmark, workspace)


def _check_device(device: specs.Device | None) -> None:
    """Refuses an accelerator that this machine lacks. Only TensorFlow knows."""
    if device is not None and device.kind != "cpu":
        quiet.import_tensorflow()
        devices.strategy_for(device)


def _train(spec: specs.TrainSpec, benchmark: Benchmark, workspace: Workspace) -> int:
    from tfperf.run import workers

    values = flags.FLAGS
    with workers.agreed(spec, timeout_s=values.worker_timeout_s) as together:
        quiet.import_tensorflow()
        from tfperf.run.train import train_together

        outcome, run_dir = train_together(spec, benchmark, together, workspace=workspace, profile=values.profile)
    code = 0 if outcome.valid else _TARGET_MISSED
    if run_dir is None:
        return code
    _show(outcome, run_dir)
    return published_metrics.publish(run_dir, verb="train", code=code)


def _show(outcome: result.TrainResult, run_dir: pathlib.Path) -> None:
    from tfperf.compliance import checker

    if flags.FLAGS.format == "json":
        print(json.dumps({**result.as_dict(outcome), "run_dir": str(run_dir)}, indent=2))
        return
    print(table.train_table(outcome, run_dir=run_dir))
    print("\n".join(check.report(checker.check(run_dir))))


def _dry_run(spec: specs.TrainSpec, benchmark: Benchmark) -> int:
    broken = rules.violations(spec, benchmark)
    quality = quality_of(benchmarks.training_task(benchmark), spec)
    plan: dict[str, Any] = {
        "benchmark": benchmark.name,
        "target": f"{quality.metric} >= {quality.value:g}",
        "closed_eligible": not broken,
        "closed_ineligible_because": broken,
        "config": config.as_dict(spec),
        "device": flags.FLAGS.device,
        "needs": shared_flags.needs(spec.data.source),
        "runs": flags.FLAGS.runs,
    }
    if flags.FLAGS.format == "json":
        print(json.dumps(plan, indent=2))
        return 0
    runs = "1 run" if plan["runs"] == 1 else f"{plan['runs']} runs"
    print(f"Would train {plan['benchmark']} to {plan['target']}, {runs}, device {plan['device']}.")
    print(f"Needs: {plan['needs']}\n")
    print(config.dump(spec))
    print(shared_flags.closed_verdict(broken, if_also="the system and the data are"))
    return 0


def _repeat(spec: specs.TrainSpec, benchmark: Benchmark) -> int:
    from tfperf.run import series

    values = flags.FLAGS
    command = [sys.executable, "-m", "tfperf", "train", f"--config={values.config}", f"--device={values.device}"]
    command += [f"--set={override}" for override in values.set]
    command += [f"--data_dir={values.data_dir}"] if values.data_dir else []
    command += ["--profile"] if values.profile else []
    command += published_metrics.words()
    command += [f"--worker_timeout_s={values.worker_timeout_s}"]
    made = series.train(
        command,
        spec,
        benchmark,
        runs=values.runs,
        output_dir=pathlib.Path(values.output_dir).expanduser(),
        resume=pathlib.Path(values.resume).expanduser() if values.resume else None,
        worker_timeout_s=values.worker_timeout_s,
    )
    if made.directory is not None:
        _show_series(made)
    print("".join(f"tfperf train: {failure}\n" for failure in made.failures), end="", file=sys.stderr)
    if made.interrupted:
        print("tfperf: interrupted.", file=sys.stderr)
        return 130
    if made.failures:
        return 1
    return 0 if made.valid or made.directory is None else _TARGET_MISSED


def _show_series(made: RunSeries) -> None:
    from tfperf.run import series

    if flags.FLAGS.format == "json":
        print(json.dumps(series.report(made), indent=2))
        return
    print("\n".join(check.report(made.verdicts)))
    print(f"\nseries directory  {made.directory}")
    if not made.complete:
        rest = f"{len(made.runs)} of {made.wanted} runs finished. For the others, repeat the command with"
        print(f"{rest} --resume {made.directory}")
