"""The directory of a sweep: made once, taken up again by the same sweep only, refused when it is damaged."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tfperf import config, spec, sweep_files
from tfperf.directory import Place
from tfperf.errors import DamagedDataError, UsageError
from tfperf.tuning import kinds
from tfperf.tuning import trial as trials

FOLDER = "sweeps"
SWEEP = sweep_files.SWEEP
TUNER = "keras_tuner"
RESULT = "result.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Project:
    """A sweep and where it is.

    Attributes:
        path: its directory.
        asked: what is swept.
        place: where the data is and what to run on.
    """

    path: pathlib.Path
    asked: spec.SweepSpec
    place: Place


def open_or_make(asked: spec.SweepSpec, place: Place) -> Project:
    """The project `<output_dir>/sweeps/<name>`; one that is there goes on where it stopped.

    Raises:
        UsageError: another sweep is there, or the directory can't be made.
        DamagedDataError: what is there can't be read.
    """
    path = place.output_dir / FOLDER / place.name
    opened = Project(path=path, asked=asked, place=place)
    if not (path / SWEEP).exists():
        _make(opened)
        return opened
    found = read(path, place=place)
    if found.asked != asked:
        raise UsageError(
            f"{path} holds another sweep: {', '.join(_differences(found.asked, asked))} differ. Choose another "
            f"--project, or run this one from {path / SWEEP}."
        )
    _check(path)
    return opened


def read(path: pathlib.Path, *, place: Place) -> Project:
    """Reads a project that is there.

    Raises:
        ConfigError: its `sweep.yaml` is not one.
    """
    return Project(path=path, asked=config.load_sweep(str(path / SWEEP), options_of=kinds.options_of), place=place)


def place_as_json(place: Place) -> str:
    """The place as an argument of another process."""
    plain = {"data_dir": None if place.data_dir is None else str(place.data_dir), "device": place.device}
    return json.dumps(plain, default=dataclasses.asdict)


def place_from(fields: Mapping[str, Any]) -> Place:
    """Reads what `place_as_json` wrote."""
    return Place(
        output_dir=pathlib.Path(),
        name="",
        data_dir=None if fields["data_dir"] is None else pathlib.Path(fields["data_dir"]),
        device=None if fields["device"] is None else spec.Device(**fields["device"]),
    )


def _make(opened: Project) -> None:
    try:
        (opened.path / trials.FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The sweep's directory {opened.path} can't be made: {error}. Choose another --output_dir."
        ) from error
    partial = opened.path / f"{SWEEP}.{os.getpid()}.partial"
    partial.write_text(config.dump(opened.asked), encoding="utf-8")
    os.replace(partial, opened.path / SWEEP)  # several hosts may make it at once, and write the same


def _differences(one: spec.SweepSpec, other: spec.SweepSpec) -> list[str]:
    return [
        field.name
        for field in dataclasses.fields(spec.SweepSpec)
        if getattr(one, field.name) != getattr(other, field.name)
    ]


def _check(path: pathlib.Path) -> None:
    """Refuses a project whose files of keras-tuner can't be read or do not fit each other."""
    folder = path / TUNER
    state = folder / "oracle.json"
    for member in folder.glob("*.json"):
        _json(member)
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
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damage(path, str(error)) from error
    if not isinstance(fields, dict):
        raise _damage(path, "it is not a JSON object")
    return fields


def _damage(path: pathlib.Path, why: str) -> DamagedDataError:
    return DamagedDataError(
        f"{path} is damaged: {why}. The sweep can't go on from it: restore the file, or begin anew under another "
        "--project."
    )
