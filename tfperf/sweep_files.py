"""The files by which what a sweep wrote is known, wherever it was copied to and whatever the folder is called."""

from __future__ import annotations

import json
import pathlib

SWEEP = "sweep.yaml"  # what is swept: in the directory of the sweep
TRIAL = "trial.json"  # what was tried: in the directory of each trial, and of each run that a trial made


def wrote(folder: pathlib.Path) -> bool:
    """Whether a sweep, a trial of one or a run of a trial wrote this directory."""
    return (folder / SWEEP).is_file() or _is_trial(folder / TRIAL)


def _is_trial(path: pathlib.Path) -> bool:
    """Keras-tuner has files of the same name, which hold no division."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and "division" in fields
