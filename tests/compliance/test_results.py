"""The runs that make one result: score, seeds, convergence, and the folder to hand in."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests import readmes
from tfperf import spec
from tfperf.compliance import checker, rcp, submission
from tfperf.compliance.log import read
from tfperf.errors import UsageError

FAST, SLOW = 4, 39  # epochs to converge; the reference takes about 36 at batch size 4096


@pytest.fixture
def write_runs(write_log):
    """Writes five logs of one result."""

    def write(*, converges_at: int, folder: str = "runs", seeds=range(5), statuses=("success",) * 5, **asked):
        return [
            write_log(
                pathlib.Path(folder) / f"result_{index}.txt",
                seed=seed,
                status=status,
                converges_at=converges_at,
                epoch_s=27.0 + index,
                **asked,
            )
            for index, (seed, status) in enumerate(zip(seeds, statuses, strict=True))
        ]

    return write


def _result(folder: pathlib.Path):
    verdicts = checker.check(folder)
    assert [verdict.kind for verdict in verdicts] == ["train"] * 5 + ["train_result"]
    return verdicts[-1]


def test_the_fastest_and_the_slowest_run_do_not_count() -> None:
    assert rcp.score([5.0, 1.0, 2.0, 100.0, 3.0]) == pytest.approx(10 / 3)
    assert rcp.score([float("inf"), 1.0, 2.0]) == 2.0
    with pytest.raises(ValueError, match="3 runs or more, got 2"):
        rcp.score([1.0, 2.0])


def test_a_result_is_scored(write_runs) -> None:
    result = _result(write_runs(converges_at=SLOW)[0].parent)
    assert (result.compliant, result.status) == (True, "success")
    assert result.minutes == pytest.approx(SLOW * 29 / 60)
    assert result.notes == (
        "The score is the mean of 5 runs without the fastest and the slowest.",
        "Converges in 39.0 epochs at batch size 4096, the reference in 35.7 epochs.",
    )


def test_the_score_of_a_small_set_is_printed_as_the_readme_shows(write_runs) -> None:
    found = {"train_samples": 32, "eval_samples": 16, "global_batch_size": 8}
    folder = write_runs(
        converges_at=FAST,
        change=lambda event: dataclasses.replace(event, value=found.get(event.key, event.value)),
    )[0].parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    check = [sys.executable, "-m", "tfperf", "check", str(folder)]
    printed = subprocess.run(check, env=environment, capture_output=True, text=True).stdout
    (shown,) = (command for command in readmes.commands() if "--runs" in command.words and command.output)
    assert readmes.labels_not_in(printed, shown) == []


def test_an_easily_learned_set_converges_too_fast(write_runs) -> None:
    result = _result(write_runs(converges_at=FAST)[0].parent)
    assert result.compliant is False
    assert [violation.message for violation in result.violations] == [
        "Converges faster than the reference: 4.0 epochs at batch size 4096, where at least about 34.9 "
        "epochs are expected. The data or the model is not the benchmark's."
    ]


@pytest.mark.parametrize(("failed", "compliant"), [(1, True), (2, False)])
def test_one_run_may_fail(write_runs, failed: int, compliant: bool) -> None:
    statuses = ("aborted",) * failed + ("success",) * (5 - failed)
    result = _result(write_runs(converges_at=SLOW, statuses=statuses)[0].parent)
    assert result.compliant is compliant
    assert (result.minutes is not None) is compliant


def test_runs_must_not_share_a_seed(write_runs) -> None:
    result = _result(write_runs(converges_at=SLOW, seeds=(1, 2, 3, 4, 1))[0].parent)
    assert [violation.message for violation in result.violations] == [
        "Seed 1 is used by result_0.txt, result_4.txt; each run needs its own."
    ]


def test_a_result_has_five_runs(write_runs) -> None:
    logs = write_runs(converges_at=SLOW)
    logs[-1].unlink()
    assert [violation.message for violation in checker.check(logs[0].parent)[-1].violations] == [
        "4 runs; a result has 5."
    ]


def test_minis_are_scored_and_are_no_result(write_runs, asked) -> None:
    mini = asked(benchmark="resnet50_mini", division=spec.Division.OPEN, quality_target=0.7)
    result = _result(write_runs(converges_at=FAST, asked=mini)[0].parent)
    assert (result.compliant, result.structure) == (None, "ok")
    assert result.notes[1] == "Not an MLPerf result: the number of runs and the convergence were not checked."


def test_logs_of_two_kinds_are_no_result(write_log, asked) -> None:
    write_log(pathlib.Path("runs/result_0.txt"))
    mini = asked(benchmark="resnet50_mini", division=spec.Division.OPEN)
    folder = write_log(pathlib.Path("runs/result_1.txt"), asked=mini).parent
    assert checker.check(folder)[-1].compliant is False


def _changed(**values: object):
    return lambda event: dataclasses.replace(event, value=values.get(event.key, event.value))


def test_runs_of_several_batch_sizes_are_no_result(write_runs, write_log, asked) -> None:
    folder = write_runs(converges_at=SLOW)[0].parent
    (folder / "result_4.txt").unlink()
    write_log(pathlib.Path("runs/result_4.txt"), asked=asked(global_batch_size=8192), seed=4, converges_at=SLOW)
    result = _result(folder)
    assert (result.compliant, result.minutes) == (False, None)
    assert [found.message for found in result.violations] == [
        "The runs have several batch sizes: 4096 in result_0.txt, result_1.txt, result_2.txt, result_3.txt; 8192 in "
        "result_4.txt. Use a folder for each."
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lars_opt_base_learning_rate", 17.0),
        ("submission_org", "another"),
        ("submission_platform", "another"),
        ("gradient_accumulation_steps", 2),
    ],
)
def test_what_the_runs_of_a_result_share_is_compared(write_runs, write_log, key: str, value: object) -> None:
    folder = write_runs(converges_at=SLOW)[0].parent
    (folder / "result_0.txt").unlink()
    write_log(pathlib.Path("runs/result_0.txt"), seed=0, converges_at=SLOW, change=_changed(**{key: value}))
    result = _result(folder)
    assert (result.compliant, result.good) == (True, False), "the official checkers don't look"
    (found,) = result.violations
    assert found.message.startswith(
        f"The runs of a result must have the same {key}; these have {value} in result_0.txt"
    )


def _hand_in(logs: list[pathlib.Path], directory: pathlib.Path, **changes: object) -> pathlib.Path:
    fields = {"benchmark": "resnet", "platform": "a system", "division": "closed", "description": {"framework": "TF"}}
    return submission.write_results_folder(directory, logs, **{**fields, **changes})


@pytest.mark.parametrize(("converges_at", "failures"), [(SLOW, 0), (FAST, 1)])
def test_the_package_checker_finds_nothing_but_fast_convergence(
    write_runs, tmp_path: pathlib.Path, converges_at: int, failures: int
) -> None:
    directory = tmp_path / "org"
    folder = _hand_in(write_runs(converges_at=converges_at), directory)
    assert folder == directory / "results" / "a-system" / "resnet"
    program = [sys.executable, "-m", "mlperf_logging.package_checker", str(directory), "training", "4.0.0"]
    log = ["--log_output", str(tmp_path / "package.log")]
    done = subprocess.run([*program, *log], capture_output=True, text=True, check=True, cwd=tmp_path)
    told = (tmp_path / "package.log").read_text()
    assert told.count("ERROR - ") == failures, done.stderr
    assert ("RCP Test Failed" in told) == bool(failures)
    assert ("FOUND NO ERRORS, SUCCESS !" in told) == (not failures)


def test_the_system_is_described(write_runs, tmp_path: pathlib.Path) -> None:
    _hand_in(write_runs(converges_at=SLOW), tmp_path / "org")
    described = json.loads((tmp_path / "org" / "systems" / "a-system.json").read_text())
    assert len(described) == 33
    assert all(isinstance(value, str) for value in described.values())
    assert described["status"] == "Research, Development, or Internal (RDI)"
    assert (described["framework"], described["cooling"]) == ("TF", "N/A")
    assert (described["submitter"], described["division"]) == ("unspecified", "closed")


def test_runs_that_differ_are_not_packaged(write_runs, write_log, asked, tmp_path: pathlib.Path) -> None:
    logs = write_runs(converges_at=SLOW)
    other = write_log(pathlib.Path("other/result_5.txt"), asked=asked(global_batch_size=8192), seed=5)
    another = write_log(pathlib.Path("other/result_6.txt"), seed=6, change=_changed(submission_org="another"))
    with pytest.raises(UsageError) as raised:
        _hand_in([*logs, other, another], tmp_path / "org")
    several, org = str(raised.value).splitlines()
    assert several.startswith("The runs have several batch sizes: 4096 in result_0.txt")
    assert org.startswith("The runs of a result must have the same submission_org; these have ")
    assert not (tmp_path / "org").exists()


def test_a_result_is_never_overwritten(write_runs, tmp_path: pathlib.Path) -> None:
    logs = write_runs(converges_at=SLOW)
    _hand_in(logs, tmp_path / "org")
    with pytest.raises(UsageError, match="exists"):
        _hand_in(logs, tmp_path / "org")


def test_an_internal_run_is_never_packaged(write_runs, asked, tmp_path: pathlib.Path) -> None:
    logs = write_runs(converges_at=SLOW, asked=asked(division=spec.Division.INTERNAL))
    with pytest.raises(UsageError, match="division: got internal"):
        _hand_in(logs, tmp_path / "org", division="internal")
    with pytest.raises(UsageError, match=r"submission_division is 'internal'\. Accepted: 'closed'"):
        _hand_in(logs, tmp_path / "org")
    assert not (tmp_path / "org").exists()


def test_an_unknown_field_of_the_description_is_told(write_runs, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="description: unknown colour"):
        _hand_in(write_runs(converges_at=SLOW), tmp_path / "org", description={"colour": "red"})


def _with_batch_size(size: int):
    return lambda event: dataclasses.replace(event, value=size) if event.key == "global_batch_size" else event


@pytest.mark.parametrize(
    ("converges_at", "size", "start"),
    [
        (FAST, 64, "MLPerf has no reference convergence at batch size 64: its smallest is "),
        (SLOW, 10**6, "MLPerf has no reference convergence at batch size 1e+06: its largest is "),
    ],
)
def test_a_missing_reference_is_no_fault_of_the_data(write_runs, converges_at: int, size: int, start: str) -> None:
    result = _result(write_runs(converges_at=converges_at, change=_with_batch_size(size))[0].parent)
    (violation,) = result.violations
    assert violation.message.startswith(start)
    assert "has to be submitted" in violation.message


def test_a_submission_may_ask_for_a_bypass(write_runs) -> None:
    folder = write_runs(converges_at=FAST, seeds=(1, 2, 3, 4, 1))[0].parent
    (folder / "package_checker_params").write_text("rcp-bypass")
    (folder.parent / "package_checker_params").write_text("seed-checker-bypass")
    result = _result(folder)
    assert (result.violations, result.compliant) == ((), True)
    assert "asks the official checker to accept this" in result.notes[1]
    assert [remark.key for remark in result.remarks] == ["seed"]
    (folder / "package_checker_params").write_text("rcp-bypass\n")
    result = _result(folder)
    assert result.compliant is False, "the official checker compares the line with its end"
    assert "rcp-bypass has no effect" in result.remarks[-1].message


def test_the_factor_of_a_review_is_in_the_score(write_runs) -> None:
    folder = write_runs(converges_at=SLOW)[0].parent
    (folder / "scaling.json").write_text('{"scaling_factor": 1.25}')
    result = _result(folder)
    assert (result.minutes, result.scaling) == (pytest.approx(SLOW * 29 / 60 * 1.25), 1.25)
    assert result.notes[-1] == "The mean is 18.85 minutes, multiplied by 1.25000 because of scaling.json."
    (folder / "scaling.json").write_text('{"scaling_factor": []}')
    assert "holds no scaling_factor" in _result(folder).violations[0].message


def test_a_result_is_scored_even_if_the_run_that_it_leaves_out_has_no_end(write_runs) -> None:
    logs = write_runs(converges_at=SLOW)
    logs[4].write_text("".join(logs[4].read_text().splitlines(keepends=True)[:-1]))
    result = _result(logs[0].parent)
    assert (result.status, result.compliant) == ("success", True)


def test_a_convergence_that_can_not_be_checked_is_no_fault(write_runs, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlperf_logging.rcp_checker import rcp_checker

    monkeypatch.delitem(rcp_checker.submission_runs["training"], "resnet")
    result = _result(write_runs(converges_at=SLOW)[0].parent)
    assert (result.violations, result.compliant) == ((), True)
    assert result.notes[1] == (
        "The convergence was not checked: the official RCP check stopped with KeyError: 'resnet'."
    )


def test_bert_may_count_its_samples_in_train_samples(tmp_path: pathlib.Path) -> None:
    for index in range(10):
        lines = [
            ("submission_benchmark", "bert", {}),
            ("submission_division", "closed", {}),
            ("global_batch_size", 448, {}),
            ("train_samples", 2_430_000 + index, {}),
            ("run_start", None, {}),
            ("eval_accuracy", 0.721, {"epoch_num": 1}),
            ("run_stop", None, {"status": "success"}),
        ]
        log = "".join(
            f":::MLLOG {json.dumps({'key': key, 'value': value, 'metadata': metadata, 'time_ms': 1})}\n"
            for key, value, metadata in lines
        )
        (tmp_path / f"result_{index}.txt").write_text(log)
    logs = [read(path) for path in sorted(tmp_path.glob("result_*.txt"))]
    found = rcp.check_convergence(logs, ruleset="2.0.0", benchmark="bert")
    assert found.passed
    assert found.message.startswith("Converges in 2,430,004 samples at batch size 448, the reference in 2,563,")
    assert found.message.endswith("The logs count samples in train_samples, and not in epoch_num.")
    assert found.scaling == pytest.approx(1.0551, abs=1e-3)
