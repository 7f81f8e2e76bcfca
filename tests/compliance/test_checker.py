"""Verdicts on logs, beside those of the official checker."""

import dataclasses
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from tfperf import spec
from tfperf.compliance import checker
from tfperf.compliance.verdict import Verdict
from tfperf.errors import UsageError
from tfperf.events import Event

DATA = pathlib.Path(os.environ.get("TFPERF_DATA", pathlib.Path(__file__).parents[3] / "shared" / "data"))
REAL_LOGS = DATA / "mlperf-logs"
needs_real_logs = pytest.mark.skipif(
    not REAL_LOGS.is_dir(), reason="needs the real logs: set TFPERF_DATA to the folder that holds mlperf-logs"
)

# What the official checker asks of resnet at 4.0.0, found by leaving each out.
COMMON_KEYS = [
    "submission_benchmark",
    "submission_org",
    "submission_division",
    "submission_status",
    "submission_platform",
    "cache_clear",
    "init_start",
    "global_batch_size",
    "train_samples",
    "eval_samples",
    "gradient_accumulation_steps",
    "opt_name",
    "init_stop",
    "run_start",
    "block_start",
    "eval_accuracy",
    "block_stop",
    "run_stop",
]
LARS_KEYS = [
    "lars_epsilon",
    "lars_opt_base_learning_rate",
    "lars_opt_end_learning_rate",
    "lars_opt_learning_rate_decay_poly_power",
    "lars_opt_learning_rate_decay_steps",
    "lars_opt_learning_rate_warmup_epochs",
    "lars_opt_momentum",
    "lars_opt_weight_decay",
]
SGD_KEYS = [
    "sgd_opt_base_learning_rate",
    "sgd_opt_end_learning_rate",
    "sgd_opt_learning_rate_decay_poly_power",
    "sgd_opt_learning_rate_decay_steps",
    "sgd_opt_weight_decay",
    "sgd_opt_momentum",
    "model_bn_span",
    "opt_learning_rate_warmup_epochs",
]
SGD = spec.Sgd(base_learning_rate=1.6, warmup_epochs=5, weight_decay=5e-5)


def _check(path: pathlib.Path) -> Verdict:
    (verdict,) = checker.check(path)
    return verdict


def _without(key: str):
    return lambda event: None if event.key == key else event


def _with(key: str, **changes: object):
    def change(event: Event) -> Event:
        if event.key != key:
            return event
        fields = {"value": event.value, "metadata": event.metadata, "time_s": event.time_s, **changes}
        return Event(key=key, **fields)

    return change


@needs_real_logs
@pytest.mark.data
def test_the_verdict_on_real_logs_is_the_official_one() -> None:
    begin = time.process_time()
    verdicts = {verdict.path: verdict for verdict in checker.check(REAL_LOGS / "training")}
    assert time.process_time() - begin < 10
    for expected in json.loads((REAL_LOGS / "training" / "expected.json").read_text()):
        found = verdicts[str(REAL_LOGS / expected["file"])]
        assert (found.compliant, found.status, found.ruleset, found.benchmark) == (
            expected["checker_valid"],
            expected["status"],
            expected["ruleset"],
            expected["benchmark"],
        )
        assert found.minutes == pytest.approx(expected["run_minutes"])
        assert found.good == expected["checker_valid"]


@needs_real_logs
@pytest.mark.data
def test_the_round_of_a_real_log_is_found_without_its_folder(tmp_path: pathlib.Path) -> None:
    for folder in sorted((REAL_LOGS / "training").glob("v*/*/*/*/")):
        copy = shutil.copy(sorted(folder.glob("result_*.txt"))[1], tmp_path / "log.txt")
        assert _check(pathlib.Path(copy)).ruleset == f"{folder.parents[2].name[1:]}.0"


@pytest.mark.parametrize("optimizer", [None, SGD])
def test_a_whole_log_is_compliant_for_the_official_program_too(write_log, asked, optimizer) -> None:
    path = write_log(asked=asked() if optimizer is None else asked(optimizer=optimizer))
    verdict = _check(path)
    assert (verdict.compliant, verdict.good, verdict.status) == (True, True, "success")
    assert (verdict.benchmark, verdict.division, verdict.ruleset) == ("resnet", "closed", "4.0.0")
    assert verdict.minutes == pytest.approx(35 * 27 / 60)
    assert (verdict.violations, verdict.remarks) == ((), ())
    program = [sys.executable, "-m", "mlperf_logging.compliance_checker", "--usage", "training", "--ruleset", "4.0.0"]
    log = ["--werror", "--log_output", str(path.parent / "checker.log"), str(path)]
    done = subprocess.run([*program, *log], capture_output=True, text=True, check=False)
    assert "SUCCESS" in done.stdout + done.stderr, done.stderr


@pytest.mark.parametrize(
    ("key", "optimizer"),
    [(key, None) for key in COMMON_KEYS + LARS_KEYS] + [(key, SGD) for key in SGD_KEYS],
)
def test_a_missing_key_is_named(write_log, asked, key: str, optimizer) -> None:
    run = asked() if optimizer is None else asked(optimizer=optimizer)
    verdict = _check(write_log(asked=run, change=_without(key)))
    assert verdict.ruleset == "4.0.0"
    assert verdict.compliant is False
    assert any(key in violation.message for violation in verdict.violations)


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        ("submission_status", {"value": "x"}, "submission_status is 'x'. Accepted: cloud, onprem, preview, research."),
        ("global_batch_size", {"value": 0}, "global_batch_size is 0; it must be more than 0."),
        ("lars_epsilon", {"value": 1e-7}, "lars_epsilon is 1e-07; it must be 0.0."),
        (
            "lars_opt_weight_decay",
            {"value": 3e-4},
            "lars_opt_weight_decay is 0.0003; it must be 0.0001 times a power of 2.",
        ),
        ("run_stop", {"metadata": {}}, "The metadata of run_stop lacks status."),
        ("eval_accuracy", {"metadata": {}}, "The metadata of eval_accuracy lacks epoch_num."),
        ("eval_accuracy", {"value": 76.1}, "No eval_accuracy is at least 0.759 and below 1; the highest is 76.1."),
        (
            "init_stop",
            {"time_s": 1_800_003_600.0},
            "The initialisation, from the first init_start to init_stop, took longer than the rules allow.",
        ),
    ],
)
def test_a_violation_is_told_in_plain_words_with_its_line(write_log, key, changes, message: str) -> None:
    path = write_log(change=_with(key, **changes))
    verdict = _check(path)
    (violation,) = (found for found in verdict.violations if found.source == "mlperf_logging")
    assert verdict.compliant is False
    assert violation.message == message
    assert f'"key": "{key}"' in path.read_text().splitlines()[violation.line - 1]


def test_a_run_that_missed_is_aborted(write_log) -> None:
    verdict = _check(write_log(status="aborted"))
    assert (verdict.status, verdict.compliant, verdict.good) == ("aborted", False, False)
    assert verdict.violations[0].message == "The run ended with status 'aborted', not 'success'."


def test_an_aborted_run_is_not_good_whatever_the_official_checker_says(write_log) -> None:
    verdict = _check(write_log(change=_with("run_stop", metadata={"status": "aborted"})))
    assert (verdict.compliant, verdict.good) == (True, False)


def test_a_log_cut_off_anywhere_is_incomplete(write_log, tmp_path: pathlib.Path) -> None:
    whole = write_log(converges_at=11).read_bytes()
    last_line = whole.rindex(b":::MLLOG")
    cut = tmp_path / "cut" / "mllog.txt"
    cut.parent.mkdir()
    for length in [0, 1, 9, *range(40, last_line, 977), last_line, last_line + 9, len(whole) - 3]:
        cut.write_bytes(whole[:length])
        verdict = _check(cut.parent)
        assert (verdict.status, verdict.minutes, verdict.good) == ("incomplete", None, False), length
        assert verdict.compliant is False


def test_a_line_cut_in_half_is_named(write_log) -> None:
    path = write_log()
    path.write_text(path.read_text()[:-20])
    verdict = _check(path)
    last = len(path.read_text().splitlines())
    assert (verdict.violations[0].line, verdict.violations[0].message) == (
        last,
        "The file ends in the middle of this line.",
    )


@pytest.mark.parametrize(
    "line", ["{", "7", "[]", '{"key": "seed"}', '{"key": 1, "value": 0, "metadata": {}, "time_ms": 0}']
)
def test_a_damaged_line_is_a_violation(write_log, line: str) -> None:
    path = write_log()
    path.write_text(f":::MLLOG {line}\n" + path.read_text())
    verdict = _check(path)
    assert (verdict.good, verdict.violations[0].line) == (False, 1)


EVENT = '{"time_ms": 1800000000000, "event_type": "POINT_IN_TIME", "key": "%s", "value": %s, "metadata": {}}'


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("seed", f"{'[' * 100_000}{']' * 100_000}", "it is nested too deeply"),
        ("seed", f'"{"x" * 200_000}"', "it has 200,"),
        ("seed", "1" + "0" * 400, "100000000000... with 401 digits is not a number that can be used"),
        ("config", f'"{"x" * 200_000}"', None),
        ("config", "1", None),
    ],
)
def test_a_line_of_any_length_is_judged_soon(write_log, key: str, value: str, reason: str | None) -> None:
    path = write_log()
    before = "x" * 200_000 if value == "1" else ""
    path.write_text(f"{before}:::MLLOG {EVENT % (key, value)}\n" + path.read_text())
    since = time.process_time()
    verdict = _check(path)
    assert time.process_time() - since < 2  # seconds; the official parser takes 20 for such a line
    damaged = [violation for violation in verdict.violations if violation.line == 1]
    assert [violation.message.startswith(f"This line can't be read: {reason}") for violation in damaged] == [True] * (
        reason is not None
    )
    assert not [violation for violation in verdict.violations if "stopped" in violation.message]
    assert verdict.good == (reason is None)


def test_a_run_directory_without_a_log_is_incomplete(tmp_path: pathlib.Path) -> None:
    (tmp_path / "spec.yaml").write_text("benchmark: resnet50\n")
    assert _check(tmp_path).status == "incomplete"


@pytest.mark.parametrize("division", [spec.Division.OPEN, spec.Division.INTERNAL])
def test_a_mini_is_checked_as_its_parent_and_is_no_mlperf_benchmark(write_log, asked, division) -> None:
    mini = asked(benchmark="resnet50_mini", division=division, quality_target=0.75)
    verdict = _check(write_log(asked=mini))
    assert (verdict.compliant, verdict.structure, verdict.good) == (None, "ok", True)
    assert "resnet50_mini is not an MLPerf benchmark" in verdict.notes[1]
    broken = _check(write_log(pathlib.Path("broken.txt"), asked=mini, change=_without("train_samples")))
    assert (broken.compliant, broken.structure, broken.good) == (None, "broken", False)


def test_a_mini_must_reach_its_own_target(write_log, asked) -> None:
    verdict = _check(write_log(asked=asked(benchmark="resnet50_mini", division=spec.Division.OPEN, quality_target=0.9)))
    assert verdict.structure == "broken"
    assert [violation.message for violation in verdict.violations] == [
        "run_stop says success, but the last evaluation has 0.7612; the target is 0.9."
    ]


def test_a_perfect_mini_is_no_less_good(write_log, asked) -> None:
    mini = asked(benchmark="resnet50_mini", division=spec.Division.OPEN)
    assert _check(write_log(asked=mini, change=_with("eval_accuracy", value=1.0))).structure == "ok"


def test_a_mini_cannot_pose_as_closed(write_log, asked) -> None:
    verdict = _check(write_log(asked=asked(benchmark="resnet50_mini")))
    assert (verdict.compliant, verdict.structure) == (None, "broken")


def test_an_internal_run_of_the_full_benchmark_is_no_mlperf_result(write_log, asked) -> None:
    verdict = _check(write_log(asked=asked(division=spec.Division.INTERNAL)))
    assert (verdict.compliant, verdict.structure) == (None, "ok")
    assert verdict.notes[1].startswith("An internal run")


def test_a_benchmark_of_ones_own_is_checked_as_what_it_says(write_log) -> None:
    def change(event: Event) -> Event:
        return _with("submission_division", value="open")(_with("submission_benchmark", value="my.own")(event))

    assert _check(write_log(change=change)).structure == "ok"


def test_nothing_that_a_log_names_is_imported_or_opened(write_log, tmp_path: pathlib.Path) -> None:
    (tmp_path / "evil_common.yaml").write_text("- BEGIN:\n    CODE: 'raise SystemExit'\n")
    up = "../" * 20 + str(tmp_path / "evil").lstrip("/")
    verdict = _check(write_log(change=_with("submission_division", value=up)))
    assert verdict.compliant is False
    assert "The official checker was not run." in verdict.violations[0].message


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        (_with("train_samples", value=512), "train_samples is 512; the benchmark's data set has 1281167."),
        (_with("eval_samples", value=64), "eval_samples is 64; the benchmark's data set has 50000."),
        (_without("seed"), "No seed is logged; the package checker requires one in each run."),
        (_without("eval_stop"), "9 eval_start and 0 eval_stop: not every interval is closed."),
        (_with("cache_clear", value=False), "The caches were not cleared."),
        (
            _with("init_stop", time_s=1_800_000_001.0),
            "Time runs backwards: run_start is 1.000 s before the event above it.",
        ),
    ],
)
def test_what_the_official_checker_lets_pass_is_remarked(write_log, change, remark: str) -> None:
    verdict = _check(write_log(change=change))
    assert (verdict.compliant, [found.message for found in verdict.remarks]) == (True, [remark])


def test_evaluations_too_often_are_remarked(write_log, asked) -> None:
    verdict = _check(write_log(asked=asked(evaluation=spec.Evaluation(every_epochs=2, offset=1))))
    assert [remark.message for remark in verdict.remarks] == [
        "Evaluations after epochs 1 and 3; the rules require one every 4 epochs."
    ]


def test_a_key_written_twice_is_remarked(write_log) -> None:
    path = write_log()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines]) + "\n")
    verdict = _check(path)
    assert verdict.compliant
    assert [remark.message for remark in verdict.remarks] == [
        "submission_benchmark appears 2 times (lines 1, 2) with 'resnet'; the rules require it exactly once."
    ]


@pytest.mark.parametrize(("text", "message"), [("hello\n", "has no line with :::MLLOG")])
def test_a_foreign_file_is_told(tmp_path: pathlib.Path, text: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        checker.check(tmp_path / "notes.txt")


def test_a_folder_without_logs_and_a_path_without_anything_are_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match="holds no training log"):
        checker.check(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        checker.check(tmp_path / "nowhere")


def test_the_ruleset_can_be_asked_for(write_log) -> None:
    path = write_log()
    assert checker.check(path, ruleset="3.1")[0].ruleset == "3.1.0"
    with pytest.raises(UsageError, match=r"--ruleset: got 9\.0\. Accepted: 0\.7\.0"):
        checker.check(path, ruleset="9.0")


def test_a_ruleset_without_the_benchmark_is_a_verdict_and_no_crash(write_log) -> None:
    (verdict,) = checker.check(write_log(), ruleset="5.0.0")
    assert verdict.compliant is False


def test_checking_leaves_the_root_logger_alone(write_log, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = list(root.handlers), list(root.filters)
    checker.check(write_log(status="aborted"))
    assert (list(root.handlers), list(root.filters)) == before
    assert capfd.readouterr() == ("", "")


def test_an_internal_run_of_something_that_nobody_knows_is_looked_at_for_what_every_log_has(
    write_log,
) -> None:
    own = {"submission_benchmark": "custom", "submission_division": "internal"}

    def change(event: Event) -> Event | None:
        if event.key == "quality_target":
            return dataclasses.replace(event, metadata={})
        return dataclasses.replace(event, value=own.get(event.key, event.value))

    (verdict,) = checker.check(write_log(change=change))
    assert (verdict.compliant, verdict.structure, verdict.violations) == (None, "ok", ())
    assert verdict.notes == ("An internal run of custom. No ruleset has it: only the structure was checked.",)


@pytest.mark.parametrize(
    ("received", "shown"),
    [
        (float("inf"), "inf"),
        (87.7, "87.7"),
        (-0.5, "-0.5"),
        ("0.87", "'0.87'"),
        (True, "True"),
        (None, "None"),
        ([0.9], "[0.9]"),
    ],
)
def test_an_accuracy_that_can_not_be_one_is_a_violation(write_log, asked, received, shown: str) -> None:
    mini = asked(benchmark="resnet50_mini", division=spec.Division.OPEN, quality_target=0.75)
    verdict = _check(write_log(asked=mini, change=_with("eval_accuracy", value=received)))
    assert (verdict.structure, verdict.good) == ("broken", False)
    lines = [found for found in verdict.violations if found.key == "eval_accuracy"]
    assert lines[0].message == f"eval_accuracy must be a number from 0 to 1, got {shown}."
    assert lines[0].line is not None


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (0.7612, None),
        (0.8, "run_stop says success, but the last evaluation has 0.8000; the target is at most 0.78."),
        (float("inf"), "run_stop says success, but the last evaluation has inf; the target is at most 0.78."),
        ("low", "eval_accuracy must be a number, got 'low'."),
    ],
)
def test_a_target_that_is_reached_from_above_is_checked_so(write_log, quality, message: str | None) -> None:
    own = {"submission_benchmark": "custom", "submission_division": "internal", "eval_accuracy": quality}

    def change(event: Event) -> Event | None:
        if event.key == "quality_target":
            return dataclasses.replace(event, value=0.78, metadata={"metric": "loss", "mode": "min"})
        return dataclasses.replace(event, value=own.get(event.key, event.value))

    verdict = _check(write_log(change=change))
    assert verdict.structure == ("ok" if message is None else "broken")
    assert (message is None and not verdict.violations) or message in [found.message for found in verdict.violations]


@pytest.mark.parametrize("key", ["eval_accuracy", "quality_target"])
def test_a_number_beyond_all_floats_makes_a_damaged_line(key: str, write_log) -> None:
    verdict = _check(write_log(change=_with(key, value=-(10**400))))
    damaged = [found.message for found in verdict.violations if "can't be read" in found.message]
    assert not verdict.good
    assert damaged[0] == ("This line can't be read: -10000000000... with 401 digits is not a number that can be used.")


def test_a_users_benchmark_may_have_the_name_of_an_official_one(write_log) -> None:
    def change(event: Event) -> Event:
        if event.key == "quality_target":
            return dataclasses.replace(event, metadata={**event.metadata, "mlperf": False})
        return _with("submission_division", value="open")(event)

    verdict = _check(write_log(change=change))
    assert (verdict.benchmark, verdict.compliant, verdict.structure) == ("resnet", None, "ok")
    assert "resnet is not an MLPerf benchmark: its structure was checked like that of resnet." in verdict.notes


@pytest.mark.parametrize(
    ("changes", "structure", "target"),
    [
        ({}, "ok", "reached"),
        ({"status": "aborted"}, "ok", "not reached"),
        ({"change": lambda event: None if event.key == "run_stop" else event}, "broken", None),
        ({"status": "aborted", "change": _without("train_samples")}, "broken", "not reached"),
        ({"status": "aborted", "change": _without("eval_accuracy")}, "ok", "not reached"),
    ],
)
def test_structure_and_target_are_two_verdicts(write_log, asked, changes, structure: str, target: str | None) -> None:
    mini = asked(benchmark="resnet50_mini", division=spec.Division.OPEN, quality_target=0.75)
    verdict = _check(write_log(asked=mini, **changes))
    assert (verdict.compliant, verdict.structure, verdict.target) == (None, structure, target)
    assert verdict.good == (structure == "ok" and target == "reached")


def test_a_compliant_log_gets_three_verdicts(write_log) -> None:
    verdict = _check(write_log())
    assert (verdict.compliant, verdict.structure, verdict.target) == (True, "ok", "reached")


def test_a_run_without_a_target_is_sound(write_log) -> None:
    own = {"submission_benchmark": "custom", "submission_division": "internal"}

    def change(event: Event) -> Event | None:
        if event.key == "quality_target":
            return None
        return dataclasses.replace(event, value=own.get(event.key, event.value))

    verdict = _check(write_log(change=change, status="aborted"))
    assert (verdict.structure, verdict.target, verdict.violations) == ("ok", None, ())


def test_a_users_benchmark_may_have_the_name_of_a_mini(write_log, asked) -> None:
    mini = asked(benchmark="resnet50_mini", division=spec.Division.OPEN, quality_target=0.7)

    def change(event: Event) -> Event:
        if event.key == "quality_target":
            return dataclasses.replace(event, value=5.0, metadata={**event.metadata, "metric": "loss", "mode": "min"})
        return _with("eval_accuracy", value=4.5)(event)

    assert _check(write_log(asked=mini, change=change)).violations == ()
