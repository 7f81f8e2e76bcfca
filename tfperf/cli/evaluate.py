"""Measures any Keras model or SavedModel under the load that its users will put on it. Internal: not an MLPerf result.

--data_dir is a folder with one folder of images for each class, or holds a file x.npy and, for the accuracy, y.npy.

Example: tfperf evaluate --config evaluate --model my.keras --data_dir photos
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from absl import flags

from tfperf import config
from tfperf import spec as specs
from tfperf.cli import quiet, shared_flags
from tfperf.errors import MissingDataError, UsageError
from tfperf.workspace import Workspace


def define_flags() -> None:
    """The flags of `tfperf evaluate`."""
    shared_flags.define_run(device="auto, cpu, gpu, or several: gpu:N, and cpu:N to try that out.")
    flags.DEFINE_string("model", None, "The model: a .keras file or the directory of a SavedModel.")
    flags.DEFINE_bool(
        "trust_model",
        False,
        "Load a model even if it contains its own code, such as Lambda layers, or operations that read or write files.",
    )


def main(arguments: list[str]) -> int:
    """Evaluates and prints the result."""
    values = flags.FLAGS
    shared_flags.check_run("evaluate", arguments)
    spec = config.load_evaluation(values.config, overrides=values.set)
    device = shared_flags.workspace().device
    if device is not None:
        if device.kind == "tpu":
            raise UsageError(f"--device: an evaluation takes auto, cpu, cpu:N, gpu or gpu:N; got {values.device}.")
        spec = dataclasses.replace(spec, device=(values.device,))
    if values.dry_run:
        return _dry_run(spec)
    return _evaluate(spec)


def _evaluate(spec: specs.EvaluateSpec) -> int:
    model, folder = _model(), _data_dir()
    quiet.import_tensorflow()
    from tfperf.evaluation import evaluate, folders, outcome, subject

    evaluate.use(spec)
    adapted = subject.adapt(model, trusted=flags.FLAGS.trust_model)
    found = evaluate.evaluate(
        adapted,
        folders.read(folder, adapted),
        config=spec,
        workspace=Workspace(
            output_dir=pathlib.Path(flags.FLAGS.output_dir).expanduser(), name=f"evaluate-{adapted.name}"
        ),
        trust_model=flags.FLAGS.trust_model,
    )
    if flags.FLAGS.format == "json":
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print(found)
    return 0 if found.valid else outcome.cause(found.result).exit_code


def _model() -> pathlib.Path:
    if not flags.FLAGS.model:
        raise UsageError("--model is missing. Pass a .keras file or the directory of a SavedModel.")
    path = pathlib.Path(flags.FLAGS.model).expanduser()
    if not path.exists():
        raise UsageError(f"--model {path} does not exist. Pass a .keras file or the directory of a SavedModel.")
    return path


def _data_dir() -> pathlib.Path:
    folder = shared_flags.data_dir()
    if folder is None:
        raise MissingDataError("--data_dir is missing. Pass a folder with one folder of images for each class.")
    if not folder.is_dir():
        raise MissingDataError(f"--data_dir {folder} is not a folder. Pass the folder that holds the examples.")
    return folder


def _dry_run(spec: specs.EvaluateSpec) -> int:
    plan: dict[str, Any] = {
        "model": flags.FLAGS.model,
        "division": "internal",
        "config": config.as_dict(spec),
        "data_dir": flags.FLAGS.data_dir,
    }
    if flags.FLAGS.format == "json":
        print(json.dumps(plan, indent=2))
        return 0
    print(f"Would evaluate {plan['model'] or 'a model (pass --model)'} on {plan['data_dir'] or 'data (--data_dir)'}.\n")
    print(config.dump(spec))
    return 0
