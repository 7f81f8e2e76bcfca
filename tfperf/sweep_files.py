"""Recognises what a sweep wrote by its files, wherever it was copied and whatever the folder is called."""

from __future__ import annotations

import pathlib

from tfperf import json_text

SWEEP = "sweep.yaml"  # the spec of the sweep, in its directory
TRIAL = "trial.json"  # in the directory of each trial, and of each run that a trial made


def wrote(folder: pathlib.Path) -> bool:
    """Whether a sweep, one of its trials or a run of a trial wrote this directory."""
    return (folder / SWEEP).is_file() or _is_trial(folder / TRIAL)


def _is_trial(path: pathlib.Path) -> bool:
    """Keras-tuner writes files with the same name, but without a division."""
    try:
        fields = json_text.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and "division" in fields
