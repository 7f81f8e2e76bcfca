"""Trains a benchmark to its quality target.

Example: tfperf train --config resnet50-mini --set optimizer.sgd.base_learning_rate=0.05
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

from absl import flags

from tfperf import benchmarks, config, devices, directory, result, spec
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.cli import check, quiet, shared_flags
from tfperf.compliance import rules
from tfperf.errors import UsageError
from tfperf.reporting import table

_TARGET_MISSED = 4


def define_flags() -> None:
    """The flags of `tfperf train`."""
    flags.DEFINE_string("config", None, "A packaged config (see tfperf list) or the path of a yaml file.")
    flags.DEFINE_multi_string("set", [], "key.path=value, in place of the config's; repeatable.")
    flags.DEFINE_string("device", "auto", "auto, cpu, cpu:N (N logical devices), gpu, gpu:N or tpu.")
    flags.DEFINE_integer("runs", 1, "Runs of this config, each in a fresh process, scored together.", lower_bound=1)
    flags.DEFINE_bool(
        "dry_run", False, "Say what would run, what it needs and whether it is closed-eligible; run nothing."
    )
    shared_flags.define_format()
    shared_flags.define_data_dir()
    shared_flags.define_output_dir()


def main(arguments: list[str]) -> int:
    """Trains and prints the result."""
    values = flags.FLAGS
    if arguments:
        raise UsageError(f"train takes no arguments, got {' '.join(arguments)}. Set values with --set key.path=value.")
    if not values.config:
        raise UsageError(f"--config is missing. Accepted: {', '.join(config.names())}, or the path of a yaml file.")
    asked = config.load(values.config, options_of=_options, overrides=values.set)
    benchmark = benchmarks.get(asked.benchmark)
    device = devices.parse(values.device)
    if values.dry_run:
        return _dry_run(asked, benchmark)
    rules.check_training(asked, benchmark)
    if values.runs > 1:
        return _repeat(asked, benchmark)
    return _train(asked, benchmark, device)


def _train(asked: spec.TrainSpec, benchmark: Benchmark, device: spec.Device | None) -> int:
    quiet.import_tensorflow()
    from tfperf import run

    values = flags.FLAGS
    place = directory.Place(
        output_dir=pathlib.Path(values.output_dir).expanduser(),
        name=pathlib.Path(values.config).stem,
        data_dir=shared_flags.data_dir(),
        device=device,
    )
    outcome, run_dir = run.train(asked, benchmark, place=place)
    if run_dir is not None:
        _show(outcome, run_dir)
    return 0 if outcome.valid else _TARGET_MISSED


def _show(outcome: result.TrainResult, run_dir: pathlib.Path) -> None:
    from tfperf.compliance import checker

    if flags.FLAGS.format == "json":
        print(json.dumps({**result.as_dict(outcome), "run_dir": str(run_dir)}, indent=2))
        return
    print(table.train_table(outcome, run_dir=run_dir))
    print("\n".join(check.report(checker.check(run_dir))))


def _dry_run(asked: spec.TrainSpec, benchmark: Benchmark) -> int:
    broken = rules.violations(asked, benchmark)
    quality = benchmark.training.quality
    target = quality.value if asked.quality_target is None else asked.quality_target
    plan: dict[str, Any] = {
        "benchmark": benchmark.name,
        "target": f"{quality.metric} >= {target:g}",
        "closed_eligible": not broken,
        "closed_ineligible_because": broken,
        "config": config.as_dict(asked),
        "device": flags.FLAGS.device,
        "needs": shared_flags.needs(asked.data.source),
        "runs": flags.FLAGS.runs,
    }
    if flags.FLAGS.format == "json":
        print(json.dumps(plan, indent=2))
        return 0
    print(f"Would train {plan['benchmark']} to {plan['target']}, {plan['runs']} run(s), device {plan['device']}.")
    print(f"Needs: {plan['needs']}\n")
    print(config.dump(asked))
    print(f"closed-eligible: {'yes, if the system and the data are' if not broken else 'no'}")
    for violation in broken:
        print(f"  - {violation}")
    return 0


def _repeat(asked: spec.TrainSpec, benchmark: Benchmark) -> int:
    from tfperf import repeat

    values = flags.FLAGS
    command = [sys.executable, "-m", "tfperf", "train", f"--config={values.config}", f"--device={values.device}"]
    command += [f"--set={override}" for override in values.set]
    command += [f"--data_dir={values.data_dir}"] if values.data_dir else []
    output_dir = pathlib.Path(values.output_dir).expanduser()
    series = repeat.train(command, asked, benchmark, runs=values.runs, output_dir=output_dir)
    if values.format == "json":
        print(json.dumps(repeat.report(series), indent=2))
    else:
        print("\n".join(check.report(series.verdicts)))
        print(f"\nseries directory  {series.directory}")
    return 0 if series.valid else _TARGET_MISSED


def _options(name: str) -> Any:
    return benchmarks.get(name).training.options
