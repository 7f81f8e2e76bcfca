"""A measurement that is ready to begin: everything was found, and nothing was run."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfperf import config, spec
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask, OpenSamples
from tfperf.errors import UsageError
from tfperf.events import Event
from tfperf.inference import generation, weights
from tfperf.reporting import jsonl, serving_progress
from tfperf.serving import asked
from tfperf.serving.inputs import Inputs, load_model, open_samples
from tfperf.serving.newest import newest
from tfperf.system import devices, environment, memory
from tfperf.workspace import Workspace

if TYPE_CHECKING:
    import keras

_FLOAT32_BYTES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a measurement works with.

    Attributes:
        spec: what was asked for.
        benchmark: that it names.
        task: how that is served.
        inputs: the model and the data, for child processes.
        samples: the evaluation set.
        run_dir: gets the results.
        scratch: a directory that is gone afterwards.
        environment: the machine and the software.
        threads: of one operation.
        parameters: trainable ones of the model.
        weights_bytes: of all its weights in float32.
        audits: the compliance tests to run.
        events: the durable record.
        shown: what the user sees meanwhile.
    """

    spec: spec.InferSpec
    benchmark: Benchmark
    task: InferenceTask
    inputs: Inputs
    samples: OpenSamples
    run_dir: pathlib.Path
    scratch: pathlib.Path
    environment: Mapping[str, Any]
    threads: int
    parameters: int
    weights_bytes: int
    audits: tuple[str, ...]
    events: jsonl.JsonLines
    shown: serving_progress.ServingProgress


def prepare(
    wanted: spec.InferSpec,
    benchmark: Benchmark,
    trained: weights.Weights,
    workspace: Workspace,
    *,
    compliance_tests: tuple[str, ...],
    scratch: pathlib.Path,
) -> Prepared:
    """Finds the model and the data, and makes the run directory.

    Raises:
        TfperfError: something is not there or can't be used.
    """
    task = benchmark.inference
    assert task is not None  # the rules refuse such a benchmark
    tests = _tests(compliance_tests, wanted, task)
    source = weights.resolve(newest(trained, benchmark=benchmark.name))
    inputs = Inputs(task=task, options=wanted.model, source=source, data=wanted.data, data_dir=workspace.data_dir)
    processors = devices.describe(devices.strategy_for(_one_device(workspace.device)))
    samples = open_samples(inputs)
    _check_rate(wanted, task, total=samples.total)
    parameters, weights_bytes = _sizes(load_model(inputs))
    run_dir = workspace.make_run_dir()
    (run_dir / "spec.yaml").write_text(config.dump(wanted), encoding="utf-8")
    captured = environment.capture(processors)
    division = str(wanted.division)
    environment.write(run_dir / "environment.json", {"division": division, **captured})
    events = jsonl.JsonLines(run_dir / "events.jsonl")
    events.emit(Event(key="submission_division", value=division))
    bound = asked.latency_bound_ns(wanted, task) if isinstance(wanted.scenario, spec.Server) else None
    return Prepared(
        spec=wanted,
        benchmark=benchmark,
        task=task,
        inputs=inputs,
        samples=samples,
        run_dir=run_dir,
        scratch=scratch,
        environment=captured,
        threads=wanted.threads or max(1, len(os.sched_getaffinity(0)) // wanted.instances),
        parameters=parameters,
        weights_bytes=weights_bytes,
        audits=tests,
        events=events,
        shown=serving_progress.ServingProgress(
            sys.stderr, min_duration_s=wanted.min_duration_s, bound_ns=bound, interactive=sys.stderr.isatty()
        ),
    )


def _tests(names: tuple[str, ...], wanted: spec.InferSpec, task: InferenceTask) -> tuple[str, ...]:
    tests = tuple(name for name in task.audits if name in names)
    if set(names) - set(tests):
        raise UsageError(
            f"--compliance {','.join(names)}: accepted for {task.submission_benchmark} are "
            f"{', '.join(task.audits) or 'no tests'}."
        )
    if tests and not wanted.accuracy:
        raise UsageError("Compliance tests compare with the accuracy run, which accuracy=false leaves out.")
    return tests


def _check_rate(wanted: spec.InferSpec, task: InferenceTask, *, total: int) -> None:
    """Refuses a rate whose queries would not fit into memory, before anything is built."""
    scenario = wanted.scenario
    if isinstance(scenario, spec.Server) and scenario.target_qps != "auto":
        settings = asked.settings(wanted, task, mode="performance", total=total, target_qps=scenario.target_qps)
        generation.check_rate(settings, available_bytes=memory.available_bytes())


def _sizes(model: keras.Model) -> tuple[int, int]:
    """Trainable parameters, and bytes of all weights in float32."""
    trainable, every = (
        sum(math.prod(variable.shape) for variable in variables)
        for variables in (model.trainable_variables, model.variables)
    )
    return trainable, every * _FLOAT32_BYTES


def _one_device(device: spec.Device | None) -> spec.Device | None:
    if device is not None and (device.kind == "tpu" or (device.count or 1) > 1):
        raise UsageError(f"--device: serving takes one processor: auto, cpu or gpu; got {device.kind}:{device.count}.")
    return device
