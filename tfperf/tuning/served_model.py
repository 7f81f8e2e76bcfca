"""The model that the trials of a sweep serve: recorded when the sweep begins, the same until it ends."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tfperf import json_text
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.errors import DamagedDataError, UsageError
from tfperf.inference import weights
from tfperf.inference.weights import Weights

NAME = "weights.json"


def bind(project: pathlib.Path, trained: Weights, task: InferenceTask) -> None:
    """Records which model the sweep serves.

    Args:
        project: the sweep's directory.
        trained: the model.
        task: how the benchmark is served.

    Raises:
        UsageError: there is no such model, or the sweep began with another one.
    """
    digest = weights.resolve(trained, foreign=task.foreign_weights, checkpoints=task.checkpoints).digest
    if (project / NAME).exists() and _fields(project)["sha256"] != digest:
        raise UsageError(
            f"--weights {trained.path} is not the model that {project} started with: {_fields(project)['path']}. Pass "
            "that one, or choose another --project."
        )
    fields = {
        "division": "internal",
        "path": str(trained.path.resolve()),
        "sha256": digest,
        "trusted": trained.trusted,
    }
    (project / NAME).write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def read(project: pathlib.Path) -> Weights:
    """Reads what `bind` recorded."""
    fields = _fields(project)
    return Weights(path=pathlib.Path(fields["path"]), trusted=fields["trusted"])


def _fields(project: pathlib.Path) -> dict[str, Any]:
    path = project / NAME
    try:
        return dict(json_text.parse(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedDataError(
            f"{path} is damaged: {error}. Restore the file, or start again under another --project."
        ) from error
