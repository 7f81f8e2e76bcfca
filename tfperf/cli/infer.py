"""Measures how fast a trained model serves, under LoadGen.

Example: tfperf infer --config resnet50-mini-offline --weights runs --set min_duration_s=10
"""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

from absl import flags

from tfperf import benchmarks, config, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.cli import check, named_benchmark, published_metrics, quiet, shared_flags
from tfperf.compliance import serving_rules
from tfperf.workspace import Workspace

if TYPE_CHECKING:
    from tfperf.inference.weights import Weights
    from tfperf.serving.feasibility import RequestedExtras

_FAILED, _INVALID, _TARGET_MISSED, _INTERRUPTED = 1, 3, 4, 130


def define_flags() -> None:
    """The flags of `tfperf infer`."""
    shared_flags.define_run(device="auto, cpu or gpu.")
    published_metrics.define()
    shared_flags.define_weights()
    flags.DEFINE_list("compliance", [], "Compliance tests to run as well, such as TEST01,TEST04.")
    flags.DEFINE_string("resume", None, "A run directory whose search for the highest Server rate continues.")
    flags.DEFINE_bool(
        "profile",
        False,
        "Profile a few executions of the chosen executable for TensorBoard, before the measurement and in a separate "
        "process. LiteRT has no such profile.",
    )
    flags.DEFINE_integer(
        "show",
        0,
        "Draw what was answered beside what is right, for so many of the first samples, as PNG files in the run "
        "directory's pictures/. For detectors.",
        lower_bound=0,
    )


def main(arguments: list[str]) -> int:
    """Measures and prints the result."""
    values = flags.FLAGS
    shared_flags.check_run("infer", arguments)
    spec = config.load_inference(values.config, task_of=named_benchmark.task, overrides=values.set)
    benchmark = benchmarks.get(spec.benchmark)
    from tfperf.serving import feasibility

    workspace = shared_flags.workspace()
    extras = feasibility.RequestedExtras(
        device=workspace.device,
        compliance_tests=tuple(values.compliance),
        resume=pathlib.Path(values.resume).expanduser() if values.resume else None,
        profile=values.profile,
        show=values.show,
    )
    feasibility.check(spec, benchmark, extras)
    if values.dry_run:
        return _dry_run(spec, benchmark)
    published_metrics.check()
    trained = shared_flags.weights()
    shared_flags.check_weights(trained, benchmark)
    shared_flags.check_data_dir(spec.data.source)
    return _infer(spec, benchmark, workspace, trained, extras)


def _infer(
    spec: specs.InferSpec, benchmark: Benchmark, workspace: Workspace, trained: Weights, extras: RequestedExtras
) -> int:
    quiet.import_tensorflow()
    from tfperf.serving import measurement

    outcome, run_dir = measurement.infer(
        spec,
        benchmark,
        trained=trained,
        workspace=workspace,
        compliance_tests=extras.compliance_tests,
        resume=extras.resume,
        profile=extras.profile,
        show=extras.show,
    )
    _show(outcome, run_dir)
    return published_metrics.publish(run_dir, verb="infer", code=_exit_code(outcome))


def _exit_code(outcome: result.InferResult) -> int:
    if outcome.status == "incomplete":
        return _INTERRUPTED
    if outcome.status == "failed":
        return _FAILED
    if outcome.status == "invalid":
        return _INVALID
    return 0 if outcome.valid else _TARGET_MISSED


def _show(outcome: result.InferResult, run_dir: pathlib.Path) -> None:
    from tfperf.compliance import checker
    from tfperf.reporting import inference_table

    if flags.FLAGS.format == "json":
        print(json.dumps({**result.as_dict(outcome), "run_dir": str(run_dir)}, indent=2))
        return
    print(inference_table.infer_table(outcome, run_dir=run_dir))
    if outcome.status in ("success", "invalid"):
        print("\n".join(check.report(checker.check(run_dir))))


def _dry_run(spec: specs.InferSpec, benchmark: Benchmark) -> int:
    broken = serving_rules.violations(spec, benchmark)
    plan: dict[str, Any] = {
        "benchmark": benchmark.name,
        "scenario": type(spec.scenario).__name__,
        "closed_eligible": not broken,
        "closed_ineligible_because": broken,
        "config": config.as_dict(spec),
        "device": flags.FLAGS.device,
        "needs": f"{shared_flags.needs(spec.data.source)} {shared_flags.needed_weights(benchmark)}",
    }
    if flags.FLAGS.format == "json":
        print(json.dumps(plan, indent=2))
        return 0
    print(f"Would measure {plan['benchmark']} in {plan['scenario']}, device {plan['device']}.")
    print(f"Needs: {plan['needs']}\n")
    print(config.dump(spec))
    print(shared_flags.closed_verdict(broken, if_also="the system, the model and the data are"))
    return 0
