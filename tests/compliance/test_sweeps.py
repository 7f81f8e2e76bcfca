"""What a sweep wrote is told to be no result, wherever it was copied to and however good it looks."""

import json
import pathlib
import shutil

import pytest

from tests.compliance.serving_logs import ServedRun
from tfperf import result, sweep_files
from tfperf.cli import check
from tfperf.compliance import checker
from tfperf.compliance.verdict import Verdict

TRIAL = {"name": "0", "values": {"threads": 1}, "status": "completed", "division": "internal"}


@pytest.fixture
def swept(served_run: ServedRun, tmp_path: pathlib.Path) -> pathlib.Path:
    """The directory of a sweep with one trial, whose run is as good as an internal run can be."""
    sweep = tmp_path / "sweeps" / "mine"
    run = served_run("sweeps/mine/trials/0/run", benchmark="resnet50_mini", division="internal")
    assert verdict_on(run).good
    (sweep / sweep_files.SWEEP).write_text("division: internal\n", encoding="utf-8")
    for directory in (run, run.parent):
        (directory / sweep_files.TRIAL).write_text(json.dumps(TRIAL), encoding="utf-8")
        served_run.seal(directory, division="internal")
    return sweep


def verdict_on(path: pathlib.Path) -> Verdict:
    (found,) = checker.check(path)
    return found


@pytest.mark.parametrize("part", ["", "trials", "trials/0", "trials/0/run"])
@pytest.mark.parametrize("renamed", [None, "20261122T000000Z-resnet50-closed-0e99fc"])
def test_no_part_of_a_sweep_is_a_result(
    part: str, renamed: str | None, swept: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    path = swept / part
    if renamed:
        path = shutil.copytree(path, tmp_path / renamed)
    found = verdict_on(path)
    assert (found.kind, found.division, found.compliant, found.structure) == ("sweep", "internal", None, None)
    assert not found.good
    assert found.violations[0].message.startswith("An internal sweep wrote this. Neither it nor any run in it is a ")


def test_it_is_said_first_and_in_the_count(swept: pathlib.Path, served_run: ServedRun) -> None:
    served_run("run")
    lines = list(check.report(checker.check(swept.parent.parent)))
    assert lines[0].startswith("COMPLIANT: ")
    assert f"NO RESULT: {swept}" in lines
    assert "1 inference run: 1 compliant" in lines
    assert "1 sweep: 1 no result" in lines


def test_a_run_of_a_sweep_without_its_mark_does_not_fit_its_manifest(swept: pathlib.Path) -> None:
    run = swept / "trials" / "0" / "run"
    copied = shutil.copytree(run, swept.parent.parent / "copied")
    (copied / sweep_files.TRIAL).unlink()
    found = verdict_on(copied)
    assert not found.good
    assert [violation.message for violation in found.violations] == ["manifest.json: trial.json is missing."]


def test_the_benchmark_and_the_end_of_a_sweep_are_told(swept: pathlib.Path) -> None:
    assert (verdict_on(swept).benchmark, verdict_on(swept).status) == (None, "incomplete")
    outcome = result.SweepResult(
        benchmark="resnet50_mini",
        valid=False,
        reasons=("no trial has a throughput",),
        status="failed",
        config={},
        environment={},
        objective="throughput",
        direction="max",
        trials=(),
    )
    result.write(swept / "result.json", outcome)
    assert (verdict_on(swept).benchmark, verdict_on(swept).status) == ("resnet50_mini", "failed")


def test_another_programs_trial_json_makes_no_sweep(served_run: ServedRun) -> None:
    run = served_run("run")
    (run / "keras_tuner").mkdir()
    (run / "keras_tuner" / "trial.json").write_text('{"trial_id": "0"}', encoding="utf-8")
    (run / "trial.json").write_text("{", encoding="utf-8")
    assert verdict_on(run).kind == "infer"
