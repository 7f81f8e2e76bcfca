"""Refuses a measurement that can't be made, before TensorFlow is imported: a dry run makes the same checks."""

from __future__ import annotations

import dataclasses
import pathlib

from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask
from tfperf.compliance import serving_rules
from tfperf.errors import UsageError
from tfperf.inference import generation, profiled_form
from tfperf.serving import processor, rate, settings
from tfperf.system import memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestedExtras:
    """What a measurement does besides its spec.

    Attributes:
        device: the device to serve on; None takes a GPU if there is one.
        compliance_tests: the compliance tests.
        resume: the run directory whose search is continued.
        profile: whether a few executions are profiled.
        show: of how many samples pictures are drawn.
    """

    device: specs.Device | None = None
    compliance_tests: tuple[str, ...] = ()
    resume: pathlib.Path | None = None
    profile: bool = False
    show: int = 0


def check(spec: specs.InferSpec, benchmark: Benchmark, extras: RequestedExtras) -> None:
    """Refuses what no measurement can do.

    Raises:
        ConfigError: the spec breaks a rule of the closed division, or the benchmark can't be served.
        UsageError: a compliance test, a device, a form or a run directory can't be used, or the queries don't fit into
            memory.
    """
    serving_rules.check_inference(spec, benchmark)
    task = benchmark.inference
    assert task is not None  # `check_inference` refuses a benchmark that can't be served
    if extras.profile:
        profiled_form.check(spec.executable)
    audits(extras.compliance_tests, spec, task)
    _check_show(extras.show, spec, benchmark.name, task)
    processor.check_device(extras.device)
    if extras.resume is not None:
        rate.earlier_state(extras.resume)
        rate.earlier_form(extras.resume, spec)
    _check_queries(spec, task)


def audits(names: tuple[str, ...], spec: specs.InferSpec, task: InferenceTask) -> tuple[str, ...]:
    """The compliance tests with these names, in the order in which they run.

    Raises:
        UsageError: the benchmark has no such test, or there is no accuracy run to compare with.
    """
    tests = tuple(name for name in task.audits if name in names)
    if set(names) - set(tests):
        raise UsageError(
            f"--compliance {','.join(names)}: accepted for {task.submission_benchmark} are "
            f"{', '.join(task.audits) or 'no tests'}."
        )
    if tests and not spec.accuracy:
        raise UsageError("Compliance tests compare with the accuracy run, which accuracy=false leaves out.")
    return tests


def _check_show(show: int, spec: specs.InferSpec, name: str, task: InferenceTask) -> None:
    """Refuses pictures that can't be drawn."""
    if show and task.picture is None:
        raise UsageError(f"--show {show}: the answers of {name} can't be shown as pictures. Leave --show out.")
    if show and not spec.accuracy:
        raise UsageError("--show draws answers of the accuracy run, which accuracy=false leaves out.")


def _check_queries(spec: specs.InferSpec, task: InferenceTask) -> None:
    """Refuses a rate or a number of queries that would not fit into memory."""
    given = spec.scenario.target_qps if isinstance(spec.scenario, specs.Server) else None
    target_qps = None if given == "auto" else given
    run = settings.settings(spec, task, mode="performance", total=task.performance_samples, target_qps=target_qps)
    generation.check_memory(run, available_bytes=memory.available_bytes())
