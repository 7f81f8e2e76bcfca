"""A sweep's directory goes on with the same sweep only, and only when it is whole."""

import dataclasses
import json
import pathlib

import pytest

from tfperf import benchmarks, config, spec
from tfperf.errors import DamagedDataError, UsageError
from tfperf.tuning import project, trial
from tfperf.tuning.trial import Trial
from tfperf.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: pathlib.Path) -> Workspace:
    return Workspace(output_dir=tmp_path, name="mine")


@pytest.fixture
def loaded() -> spec.SweepSpec:
    return config.load_sweep("sweep-resnet50-mini-lr", task_of=benchmarks.task)


def test_the_same_sweep_continues(loaded: spec.SweepSpec, workspace: Workspace) -> None:
    made = project.open_or_make(loaded, workspace)
    assert made.path == workspace.output_dir / "sweeps" / "mine"
    assert project.open_or_make(loaded, workspace) == made
    assert "division: internal" in (made.path / "sweep.yaml").read_text(encoding="utf-8")


def test_another_sweep_is_refused_with_what_differs(loaded: spec.SweepSpec, workspace: Workspace) -> None:
    project.open_or_make(loaded, workspace)
    other = dataclasses.replace(loaded, max_trials=3, seed=9)
    with pytest.raises(UsageError, match=r"holds another sweep: max_trials, seed differ\. Choose another --project"):
        project.open_or_make(other, workspace)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"oracle.json": "{"}, "oracle.json is damaged: Expecting property name"),
        ({"oracle.json": "[]"}, "oracle.json is damaged: it is not a JSON object"),
        ({"oracle.json": "{}"}, "oracle.json is damaged: it has no start_order"),
        ({"oracle.json": '{"start_order": ["00"]}'}, "trial.json is damaged: .*No such file"),
        ({"trial_00/trial.json": "{}"}, "oracle.json is damaged: it is missing"),
        ({"tuner0.json": ""}, "tuner0.json is damaged: Expecting value"),
    ],
)
def test_a_damaged_directory_of_keras_tuner_is_refused(
    files: dict[str, str], message: str, loaded: spec.SweepSpec, workspace: Workspace
) -> None:
    made = project.open_or_make(loaded, workspace)
    for name, text in files.items():
        path = made.path / project.TUNER / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DamagedDataError, match=message) as raised:
        project.open_or_make(loaded, workspace)
    assert "restore the file, or start again under another --project" in str(raised.value)


def test_a_damaged_trial_is_named(loaded: spec.SweepSpec, workspace: Workspace) -> None:
    made = project.open_or_make(loaded, workspace)
    folder = made.path / "trials" / "00"
    folder.mkdir()
    (folder / "trial.json").write_text('{"name"', encoding="utf-8")
    with pytest.raises(DamagedDataError, match=r"trials/00/trial\.json is damaged"):
        trial.read_all(made.path)


def test_an_interrupted_attempt_is_set_aside_not_overwritten(tmp_path: pathlib.Path) -> None:
    for text in ("first", "second"):
        trial.make_directory(tmp_path / "trials" / "0")
        (tmp_path / "trials" / "0" / "log.txt").write_text(text, encoding="utf-8")
    assert (tmp_path / "trials" / "0-cut-off-1" / "log.txt").read_text(encoding="utf-8") == "first"
    trial.write(tmp_path / "trials" / "0", Trial(name="0", values={}, seed=1, max_epochs=2))
    assert [each.name for each in trial.read_all(tmp_path)] == ["0"]


def test_a_trial_has_a_seed_of_its_own_and_keeps_it() -> None:
    one, again, other = (trial.seed_of({"a": value}, sweep_seed=1) for value in (0.1, 0.1, 0.2))
    assert one == again != other
    assert trial.seed_of({"a": 0.1}, sweep_seed=2) != one
    assert json.loads(json.dumps(one)) in range(2**31)
