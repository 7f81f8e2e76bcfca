"""The newest trained model in a folder of run directories."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from tfperf.errors import UsageError
from tfperf.inference import weights


def newest(trained: weights.Weights, *, benchmark: str) -> weights.Weights:
    """What was named; for a folder of run directories, the newest training run of `benchmark` in it.

    Raises:
        UsageError: the folder holds run directories and none of them trained the benchmark.
    """
    folder = trained.path
    if not folder.is_dir() or (folder / "result.json").exists():
        return trained
    runs = sorted(path.parent for path in folder.glob("*/result.json"))
    if not runs:
        return trained
    fitting = [run for run in runs if (run / weights.MODEL_FILE).exists() and _benchmark(run) == benchmark]
    if not fitting:
        raise UsageError(
            f"--weights {folder} holds {len(runs)} run directories, and none with a trained {benchmark}. Train one "
            "with tfperf train."
        )
    return dataclasses.replace(trained, path=fitting[-1])


def _benchmark(run: pathlib.Path) -> str | None:
    fields = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return fields.get("benchmark") if fields.get("kind") == "train" else None
