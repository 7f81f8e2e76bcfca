"""Varies the fields of a training or a measurement and finds the best values. Internal: nothing here is a result.

Run the same command again to continue a sweep that was interrupted.

Example: tfperf sweep --config sweep-resnet50-mini-lr
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from absl import flags

from tfperf import benchmarks, config, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.cli import named_benchmark, quiet, shared_flags
from tfperf.compliance import rules, serving_rules
from tfperf.errors import UsageError
from tfperf.inference.weights import Weights
from tfperf.reporting import table
from tfperf.serving import feasibility
from tfperf.serving.prepared import newest_weights
from tfperf.tuning import workload
from tfperf.workspace import Workspace

_NOTHING_FOUND = 1


def define_flags() -> None:
    """The flags of `tfperf sweep`."""
    shared_flags.define_run()
    flags.DEFINE_string(
        "project", None, "Name of the sweep's directory under OUTPUT_DIR/sweeps. By default the config's name."
    )
    flags.DEFINE_integer("workers", 1, "Trials at a time on this machine.", lower_bound=1)
    shared_flags.define_weights()


def main(arguments: list[str]) -> int:
    """Sweeps and prints the best values."""
    values = flags.FLAGS
    shared_flags.check_run("sweep", arguments)
    spec = config.load_sweep(values.config, task_of=named_benchmark.task, overrides=values.set)
    benchmark = benchmarks.get(spec.base.benchmark)
    workload.check(spec, benchmark)
    workspace = shared_flags.workspace(name=_project(values.project or pathlib.Path(values.config).stem))
    if isinstance(spec.base, specs.InferSpec):
        measured = dataclasses.replace(spec.base, division=specs.Division.INTERNAL)
        feasibility.check(measured, benchmark, feasibility.RequestedExtras(device=workspace.device))
    from tfperf.tuning import sweep

    sweep.check_workers(spec, workers=values.workers)
    if values.dry_run:
        if shared_flags.data_dir_found(spec.base.data.source):
            _check_initial_weights(spec.base, benchmark)
        return _dry_run(spec, benchmark)
    trained = _trained(spec.base)
    shared_flags.check_data_dir(spec.base.data.source)
    _check_initial_weights(spec.base, benchmark)
    return _sweep(spec, benchmark, workspace, trained)


def closed_rules(best: specs.TrainSpec | specs.InferSpec) -> tuple[str, ...]:
    """What keeps a config out of the closed division. tfperf's minis are judged by the rules of their benchmarks."""
    benchmark = benchmarks.get(best.benchmark)
    judge = benchmarks.get(benchmark.mini_of) if benchmark.mini_of and benchmarks.is_own(benchmark) else benchmark
    judged = dataclasses.replace(best, benchmark=judge.name)
    if isinstance(judged, specs.InferSpec):
        return serving_rules.violations(judged, judge)
    return rules.violations(judged, judge)


def _check_initial_weights(base: specs.TrainSpec | specs.InferSpec, benchmark: Benchmark) -> None:
    if isinstance(base, specs.TrainSpec):
        shared_flags.check_initial_weights(base, benchmarks.training_task(benchmark))


def _trained(base: specs.TrainSpec | specs.InferSpec) -> Weights | None:
    """The model that all trials serve, found once; None if they train."""
    if isinstance(base, specs.InferSpec):
        benchmark, given = benchmarks.get(base.benchmark), shared_flags.weights()
        shared_flags.check_weights(given, benchmark)
        return newest_weights(given, benchmark=benchmark)
    if flags.FLAGS.weights or flags.FLAGS.trust_model:
        raise UsageError(
            "--weights and --trust_model are for a sweep over a measurement. This sweep trains: leave them out."
        )
    return None


def _sweep(spec: specs.SweepSpec, benchmark: Benchmark, workspace: Workspace, trained: Weights | None) -> int:
    quiet.import_tensorflow()
    from tfperf.tuning import sweep

    workers = flags.FLAGS.workers
    outcome, project = sweep.sweep(
        spec, benchmark, workspace=workspace, closed_rules=closed_rules, workers=workers, trained=trained
    )
    if outcome is None:
        print(f"This host's part of the sweep in {project} is done; the chief has the result.")
        return 0
    _show(outcome, spec, project)
    return 0 if outcome.valid else _NOTHING_FOUND


def _project(name: str) -> str:
    if name != pathlib.PurePath(name).name or name in ("", ".", ".."):
        raise UsageError(f"--project must be a name without a path, got {name!r}. Set the folder with --output_dir.")
    return name


def _show(outcome: result.SweepResult, spec: specs.SweepSpec, project: pathlib.Path) -> None:
    from tfperf.tuning import trial, trials_table

    if flags.FLAGS.format == "json":
        print(json.dumps({**result.as_dict(outcome), "run_dir": str(project)}, indent=2))
        return
    print(f"{trials_table.text(trial.read_all(project), spec=spec, project=project)}\n")
    print("".join(f"INVALID: {reason}\n" for reason in outcome.reasons), end="")
    shown = [
        *(_found(outcome, workload.of(spec.base), project) if outcome.valid else ()),
        *((("notes", "\n".join(outcome.notes)),) if outcome.notes else ()),
        ("division", table.division(outcome)),
        ("project directory", str(project)),
    ]
    print(table.facts(shown))


def _found(outcome: result.SweepResult, of_base: workload.Workload, project: pathlib.Path) -> Iterator[tuple[str, str]]:
    """The best values beside the default ones, and what they are worth."""
    from tfperf.tuning import best_config, objective, trials_table

    best_objective = next(trial.objective for trial in outcome.trials if trial.name == outcome.best)
    yield f"best {objective.title(outcome.objective)}", f"{table.number(best_objective or 0)} in trial {outcome.best}"
    for field, value in outcome.best_values.items():
        default = trials_table.cell(outcome.default_values[field])
        yield f"  {field}", f"{trials_table.cell(value)} (default {default})"
    yield "improvement", best_config.improvement(outcome, of_base)
    yield "closed division", "\n".join(best_config.summary(outcome))
    yield "best config", str(project / best_config.NAME)


def _needs(spec: specs.SweepSpec, benchmark: Benchmark) -> str:
    data = shared_flags.needs(spec.base.data.source)
    return f"{data} {shared_flags.needed_weights(benchmark)}" if isinstance(spec.base, specs.InferSpec) else data


def _dry_run(spec: specs.SweepSpec, benchmark: Benchmark) -> int:
    plan: dict[str, Any] = {
        "benchmark": benchmark.name,
        "division": "internal",
        "objective": spec.objective,
        "config": config.as_dict(spec),
        "needs": _needs(spec, benchmark),
    }
    if flags.FLAGS.format == "json":
        print(json.dumps(plan, indent=2))
        return 0
    print(
        f"Would try at most {spec.most_trials} trials of {benchmark.name} for {spec.objective}; internal, not a result."
    )
    print(f"Needs: {plan['needs']}\n")
    print(config.dump(spec))
    return 0
