"""A measurement that is ready to start: model and data have been found, and nothing has run."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfperf import config, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask, OpenSamples
from tfperf.errors import UsageError
from tfperf.events import Event
from tfperf.inference import weights
from tfperf.reporting import jsonl, serving_progress
from tfperf.serving import processor, settings
from tfperf.serving.inputs import ServingInputs, open_model, open_samples
from tfperf.system import devices, environment
from tfperf.workspace import Workspace

if TYPE_CHECKING:
    import keras

_FLOAT32_BYTES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedMeasurement:
    """The model, the data and the files of a measurement.

    Attributes:
        spec: what to measure.
        benchmark: the benchmark that the spec names.
        task: how the benchmark is served.
        inputs: the model and the data, for child processes.
        samples: the evaluation set.
        run_dir: the directory for the results.
        scratch: a directory that is deleted afterwards.
        environment: the machine and the software.
        threads: CPU threads per operation; with `instances: auto`, those of a single instance.
        parameters: number of trainable parameters of the model.
        weights_bytes: the size of all its weights in float32.
        audits: the compliance tests to run.
        events: writes `events.jsonl`.
        shown: the progress that the user sees.
    """

    spec: specs.InferSpec
    benchmark: Benchmark
    task: InferenceTask
    inputs: ServingInputs
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
    spec: specs.InferSpec,
    benchmark: Benchmark,
    trained: weights.Weights,
    workspace: Workspace,
    *,
    audits: tuple[str, ...],
    scratch: pathlib.Path,
) -> PreparedMeasurement:
    """Finds the model and the data, and creates the run directory. `feasibility.check` was called before.

    Raises:
        TfperfError: something is missing or unusable.
    """
    task = benchmark.inference
    assert task is not None  # `serving_rules.check_inference` refuses a benchmark that can't be served
    found = weights.resolve(
        newest_weights(trained, benchmark=benchmark), foreign=task.foreign_weights, checkpoints=task.checkpoints
    )
    processor.hide_accelerators()
    inputs = ServingInputs(
        task=task,
        options=spec.model,
        model=found,
        data=spec.data,
        data_dir=workspace.data_dir,
        device=workspace.device,
    )
    samples = open_samples(inputs)
    parameters, weights_bytes = _sizes(open_model(inputs))
    run_dir = workspace.make_run_dir()
    (run_dir / "spec.yaml").write_text(config.dump(spec), encoding="utf-8")
    captured = environment.capture(processor.described(None))
    division = str(spec.division)
    write_environment(run_dir, captured, division=division)
    events = jsonl.JsonLines(run_dir / "events.jsonl")
    events.emit(Event(key="submission_division", value=division))
    bound = settings.latency_bound_ns(spec, task) if isinstance(spec.scenario, specs.Server) else None
    return PreparedMeasurement(
        spec=spec,
        benchmark=benchmark,
        task=task,
        inputs=inputs,
        samples=samples,
        run_dir=run_dir,
        scratch=scratch,
        environment=captured,
        threads=spec.threads or max(1, devices.usable_cores() // (1 if spec.instances == "auto" else spec.instances)),
        parameters=parameters,
        weights_bytes=weights_bytes,
        audits=audits,
        events=events,
        shown=serving_progress.ServingProgress(
            sys.stderr, min_duration_s=spec.min_duration_s, bound_ns=bound, interactive=sys.stderr.isatty()
        ),
    )


def write_environment(run_dir: pathlib.Path, captured: Mapping[str, Any], *, division: str) -> None:
    """Writes `environment.json`."""
    environment.write(run_dir / "environment.json", {"division": division, **captured})


def newest_weights(trained: weights.Weights, *, benchmark: Benchmark) -> weights.Weights:
    """The given weights; for a folder of run directories, those of its newest training run of the benchmark's model.

    Raises:
        UsageError: the folder holds run directories, but none that trained it.
    """
    folder = trained.path
    if not folder.is_dir() or (folder / "result.json").exists():
        return trained
    runs = sorted(path.parent for path in folder.glob("*/result.json"))
    if not runs:
        return trained
    trains = benchmark.name if benchmark.inference is None else benchmark.inference.trained_by or benchmark.name
    fitting = [run for run in runs if _trained_benchmark(run) == trains]
    if not fitting:
        raise UsageError(
            f"--weights {folder} holds {len(runs)} run directories, and none with a trained {trains}. Train one "
            "with tfperf train."
        )
    return dataclasses.replace(trained, path=fitting[-1])


def _trained_benchmark(run: pathlib.Path) -> str | None:
    """The benchmark whose model the run holds, if any. One that can't be read is none of those that can be served."""
    try:
        found = result.read(run / "result.json") if (run / weights.MODEL_FILE).exists() else None
    except (OSError, ValueError):
        return None
    return found.benchmark if isinstance(found, result.TrainResult) else None


def _sizes(model: keras.Model) -> tuple[int, int]:
    """The number of trainable parameters, and the bytes of all weights in float32."""
    trainable, every = (
        sum(math.prod(variable.shape) for variable in variables)
        for variables in (model.trainable_variables, model.variables)
    )
    return trainable, every * _FLOAT32_BYTES
