"""The directory of a sweep: made once, continued by the same sweep only, refused when damaged."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tfperf import benchmarks, config, json_text, sweep_files
from tfperf import spec as specs
from tfperf.errors import DamagedDataError, UsageError
from tfperf.tuning import trial as trials
from tfperf.workspace import Workspace

FOLDER = "sweeps"
SWEEP = sweep_files.SWEEP
TUNER = "keras_tuner"
RESULT = "result.json"

Base = specs.TrainSpec | specs.InferSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """A sweep and its directory.

    Attributes:
        path: the project directory.
        spec: what to sweep.
        workspace: the data directory and the device.
    """

    path: pathlib.Path
    spec: specs.SweepSpec
    workspace: Workspace


def open_or_make(spec: specs.SweepSpec, workspace: Workspace) -> Project:
    """The project `<output_dir>/sweeps/<name>`, new or where the same sweep stopped.

    Raises:
        UsageError: the directory holds another sweep or can't be created.
        DamagedDataError: its files can't be read.
    """
    path = workspace.output_dir / FOLDER / workspace.name
    project = Project(path=path, spec=spec, workspace=workspace)
    if not (path / SWEEP).exists():
        _make(project)
        return project
    found = read(path, workspace=workspace)
    if found.spec != spec:
        raise UsageError(
            f"{path} holds another sweep: {', '.join(_differences(found.spec, spec))} differ. Choose another "
            f"--project, or run this one from {path / SWEEP}."
        )
    _check(path)
    return project


def read(path: pathlib.Path, *, workspace: Workspace) -> Project:
    """Reads an existing project.

    Raises:
        ConfigError: its `sweep.yaml` is not a valid sweep.
    """
    return Project(path=path, spec=config.load_sweep(str(path / SWEEP), task_of=benchmarks.task), workspace=workspace)


def workspace_as_json(workspace: Workspace) -> str:
    """The workspace as an argument for another process."""
    plain = {"data_dir": None if workspace.data_dir is None else str(workspace.data_dir), "device": workspace.device}
    return json.dumps(plain, default=dataclasses.asdict)


def workspace_from(fields: Mapping[str, Any]) -> Workspace:
    """Reads what `workspace_as_json` wrote."""
    return Workspace(
        output_dir=pathlib.Path(),
        name="",
        data_dir=None if fields["data_dir"] is None else pathlib.Path(fields["data_dir"]),
        device=None if fields["device"] is None else specs.Device(**fields["device"]),
    )


def _make(project: Project) -> None:
    try:
        (project.path / trials.FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The sweep's directory {project.path} can't be created: {error}. Choose another --output_dir."
        ) from error
    partial = project.path / f"{SWEEP}.{os.getpid()}.partial"
    partial.write_text(config.dump(project.spec), encoding="utf-8")
    os.replace(partial, project.path / SWEEP)  # several hosts may write the same file at once


def _differences(one: specs.SweepSpec, other: specs.SweepSpec) -> list[str]:
    return [
        field.name
        for field in dataclasses.fields(specs.SweepSpec)
        if getattr(one, field.name) != getattr(other, field.name)
    ]


def _check(path: pathlib.Path) -> None:
    """Refuses a project whose keras-tuner files can't be read or contradict each other."""
    folder = path / TUNER
    state = folder / "oracle.json"
    for file in folder.glob("*.json"):
        _json(file)
    if not state.exists():
        if any(folder.glob("*")):
            raise _damage(state, "it is missing")
        return
    fields = _json(state)
    if not isinstance(fields.get("start_order"), list):
        raise _damage(state, "it has no start_order")
    for name in fields["start_order"]:
        if "trial_id" not in _json(folder / f"trial_{name}" / "trial.json"):
            raise _damage(folder / f"trial_{name}" / "trial.json", "it has no trial_id")
    trials.read_all(path)


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        fields = json_text.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damage(path, str(error)) from error
    if not isinstance(fields, dict):
        raise _damage(path, "it is not a JSON object")
    return fields


def _damage(path: pathlib.Path, why: str) -> DamagedDataError:
    return DamagedDataError(
        f"{path} is damaged: {why}. The sweep can't continue: restore the file, or start again under another --project."
    )
