"""Verdicts on inference run directories."""

import json
import pathlib

import pytest

from tfperf import result, spec
from tfperf.compliance import checker
from tfperf.compliance.verdict import Verdict
from tfperf.errors import UsageError


def _check(path: pathlib.Path) -> Verdict:
    (verdict,) = checker.check(path)
    return verdict


def _messages(path: pathlib.Path) -> list[str]:
    return [violation.message for violation in _check(path).violations]


@pytest.mark.parametrize("scenario", ["singlestream", "multistream", "server", "offline"])
def test_a_whole_closed_run_is_compliant(served_run, scenario: str) -> None:
    verdict = _check(served_run(scenario=scenario))
    assert verdict.violations == ()
    assert (verdict.kind, verdict.compliant, verdict.good, verdict.status) == ("infer", True, True, "success")
    assert (verdict.benchmark, verdict.division, verdict.ruleset) == ("resnet50", "closed", "v6.1")
    assert verdict.minutes == pytest.approx(600.6 / 60)
    assert verdict.notes == ("LoadGen 6.0.17 @ d6147c7eb7.",)


# What MLCommons' checker fails a log for, too.
OFFICIAL = [
    ("performance", {"effective_qsl_rng_seed": 1}, "The seeds of the performance run are not those of any round"),
    (
        "performance",
        {
            "effective_qsl_rng_seed": 2465351861681999779,
            "effective_sample_index_rng_seed": 14276810075590677512,
            "effective_schedule_rng_seed": 3936089224930324775,
        },
        "The seeds of the performance run are those of v6.0; the current round is v6.1.",
    ),
    (
        "performance",
        {"effective_min_duration_ms": 60_000},
        "effective_min_duration_ms of the performance run is 60000; the minimum is 600000.",
    ),
    (
        "performance",
        {"effective_performance_sample_count": 500},
        "effective_performance_sample_count of the performance run is 500; the minimum is 1024.",
    ),
    (
        "performance",
        {"effective_samples_per_query": 24_575},
        "effective_samples_per_query of the performance run is 24575; the minimum is 24576.",
    ),
    (
        "accuracy",
        {"effective_accuracy_sample_count": 500},
        "The accuracy run covers 500 samples; the evaluation set has 50000.",
    ),
    (
        "accuracy",
        {"error_runtime": "Attempted to complete a sample twice."},
        "LoadGen reports an error in the accuracy run: error_runtime: Attempted to complete a sample twice..",
    ),
    (
        "TEST01",
        {"result_samples_per_second": 30.0},
        "TEST01: TEST FAIL: Test score invalid",
    ),
    (
        "TEST04",
        {"result_samples_per_second": 60.0},
        "TEST04: TEST FAIL: Test score invalid",
    ),
    ("performance", {"num_errors": None}, "The log of the performance run is incomplete: the run was cut off"),
    ("accuracy", {"power_end": None}, "The log of the accuracy run is incomplete: the run was cut off"),
    ("TEST04", {"num_errors": None}, "The log of the TEST04 run is incomplete: the run was cut off"),
]

# What MLCommons' checker lets pass.
OWN = [
    (
        "performance",
        {"result_validity": "INVALID", "result_invalid_reason": "Min duration not satisfied."},
        "LoadGen calls the performance run INVALID: Min duration not satisfied.",
    ),
    (
        "performance",
        {"error_runtime": "Ran out of generated queries."},
        "LoadGen reports an error in the performance run: error_runtime: Ran out of generated queries..",
    ),
    (
        "performance",
        {"effective_test_mode": "AccuracyOnly"},
        "effective_test_mode of the performance run is AccuracyOnly; it must be PerformanceOnly.",
    ),
    (
        "performance",
        {"effective_performance_issue_same": True},
        "The samples of the performance run were not drawn at random: effective_performance_issue_same.",
    ),
    (
        "performance",
        {"effective_accuracy_log_sampling_target": 4096},
        "The performance run is a run of TEST01: its responses were sampled.",
    ),
    (
        "performance",
        {"power_end": "11-21-2026 22:05:00.500"},
        "The performance run measured 300.0 s; the minimum is 600 s.",
    ),
    (
        "TEST04",
        {"effective_performance_issue_same": False},
        "TEST04 was run without its audit.config: effective_performance_issue_same is not set.",
    ),
    (
        "TEST01",
        {"effective_accuracy_log_sampling_target": 0},
        "TEST01 was run without its audit.config: effective_accuracy_log_sampling_target is not set.",
    ),
]


@pytest.mark.parametrize(("role", "lines", "message"), OFFICIAL)
def test_what_the_official_checker_refuses_is_not_compliant(served_run, role: str, lines: object, message: str) -> None:
    verdict = _check(served_run(changes={role: lines}))
    assert any(violation.message.startswith(message) for violation in verdict.violations)
    assert (verdict.compliant, verdict.good) == (False, False)


@pytest.mark.parametrize(("role", "lines", "message"), OWN)
def test_what_the_official_checker_lets_pass_is_still_not_good(
    served_run, role: str, lines: object, message: str
) -> None:
    verdict = _check(served_run(changes={role: lines}))
    assert message in [violation.message for violation in verdict.violations if violation.source == "tfperf"]
    assert not verdict.good


def test_an_early_stopping_that_is_not_met_is_told_where_loadgen_gives_no_reason(served_run) -> None:
    lines = {"result_validity": "INVALID", "early_stopping_met": False, "early_stopping_result": " * Too few queries."}
    run = served_run(scenario="singlestream", changes={"performance": lines})
    messages = _messages(run)
    assert "LoadGen calls the performance run INVALID: * Too few queries." in messages
    assert any(message.startswith("The performance run does not meet the early stopping") for message in messages)
    assert _check(run).status == "invalid"


def test_a_server_run_is_checked_against_the_bound_of_the_rules(served_run) -> None:
    run = served_run(scenario="server", changes={"performance": {"effective_target_latency_ns": 20_000_000}})
    message = "The performance run had a latency bound of 20000000 ns; the accepted bound is 1.5e+07 ns."
    assert message in _messages(run)


def test_a_killed_run_is_incomplete(served_run) -> None:
    run = served_run(changes={"performance": {"num_errors": None}})
    assert _check(run).status == "incomplete"
    (run / "result.json").unlink()
    verdict = _check(run)
    assert (verdict.status, verdict.good, verdict.benchmark) == ("incomplete", False, None)
    assert verdict.violations[0].message == "There is no result.json: the run was cut off or is still in progress."


def test_a_run_that_was_killed_before_loadgen_began_is_incomplete(served_run) -> None:
    run = served_run()
    for path in sorted(run.rglob("*"), reverse=True):
        if path.name != "spec.yaml":
            path.rmdir() if path.is_dir() else path.unlink()
    verdict = _check(run)
    assert (verdict.kind, verdict.status, verdict.compliant) == ("infer", "incomplete", None)


def test_a_number_that_the_log_does_not_hold_is_told(served_run) -> None:
    better = result.Measurement(name="result_samples_per_second", value=44.0, unit="samples/s")
    run = served_run(outcome={"metric": better, "loadgen": {"effective_min_duration_ms": 1}})
    assert _messages(run) == [
        "result.json says 44 samples/s; LoadGen's log says 40.364 samples/s.",
        "result.json has effective_min_duration_ms 1; LoadGen's log says 600000.",
    ]
    assert _check(run).compliant


def test_an_accuracy_that_the_responses_do_not_give_is_told(served_run) -> None:
    told = result.Quality(metric="accuracy", value=0.79, target=0.756954, reached=True)
    assert _messages(served_run(outcome={"accuracy": told})) == [
        "result.json says accuracy 0.790000; LoadGen's log and val_map.txt give 0.770000."
    ]


def test_samples_without_a_response_in_the_accuracy_run_are_reported(served_run) -> None:
    run = served_run()
    log = run / "accuracy" / "mlperf_log_accuracy.json"
    rows = json.loads(log.read_text())
    right = [row for row in rows if row["qsl_idx"] % 100 < 77]  # a score of these alone would be 1
    log.write_text(json.dumps(right))
    served_run.seal(run)
    missing, lower, *_ = _messages(run)
    assert missing == "11500 of 50000 samples have no response in the accuracy run, such as number 77."
    assert lower == "result.json says accuracy 0.770000; LoadGen's log and val_map.txt give 1.000000."


def test_a_benchmark_with_the_name_of_another_is_not_judged_by_its_rules(served_run) -> None:
    own = served_run(benchmark="tests.evil", division="open", outcome={"benchmark": "resnet50"})
    verdict = _check(own)
    assert (verdict.compliant, verdict.structure) == (None, "ok")
    assert verdict.notes[1] == "resnet50 is not an MLPerf benchmark: the run was checked against its own config."


def test_a_missed_target_fails_the_closed_division(served_run) -> None:
    missed = result.Quality(metric="accuracy", value=0.75, target=0.756954, reached=False)
    closed = _check(served_run(outcome={"accuracy": missed}))
    assert "The accuracy is 0.750000; the target is 0.756954." in [found.message for found in closed.violations]
    assert not closed.compliant


def test_files_that_were_changed_afterwards_are_told(served_run) -> None:
    run = served_run()
    (run / "performance" / "mlperf_log_summary.txt").write_text("Result is : VALID\n")
    assert _messages(run) == ["manifest.json: performance/mlperf_log_summary.txt was changed."]
    (run / "manifest.json").unlink()
    (message,) = _messages(run)
    assert message.startswith("manifest.json: there is none")


def _differ(run: pathlib.Path, numbers: range) -> None:
    """Changes the responses to these samples in the log of TEST01."""
    log = run / "TEST01" / "performance" / "mlperf_log_accuracy.json"
    entries = json.loads(log.read_text())
    changed = [(each["qsl_idx"], each["data"] if each["qsl_idx"] not in numbers else "0000803F") for each in entries]
    lines = (f'{{ "seq_id" : 0, "qsl_idx" : {number}, "data" : "{data}" }}' for number, data in changed)
    log.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def test_responses_under_test01_that_are_less_accurate_are_reported(served_run) -> None:
    run = served_run()
    _differ(run, range(0, 70))
    served_run.seal(run)
    assert _messages(run) == [
        "TEST01: TEST FAIL",
        "TEST01: TEST FAIL: over 58 samples the accuracy is 0.586207 in the test and 0.758621 in the accuracy run, a "
        "difference of 29.41 %; 1 % is accepted",
    ]


def test_responses_under_test01_that_differ_and_are_as_accurate_need_the_evidence(served_run) -> None:
    run = served_run()
    _differ(run, range(77, 99))
    served_run.seal(run)
    assert _messages(run) == [
        "TEST01/accuracy/baseline_accuracy.txt is missing.",
        "TEST01/accuracy/compliance_accuracy.txt is missing.",
    ]
    (run / "TEST01" / "accuracy").mkdir()
    for name in ("baseline_accuracy.txt", "compliance_accuracy.txt"):
        (run / "TEST01" / "accuracy" / name).write_text("accuracy=75.862%, good=44, total=58\n")
    served_run.seal(run)
    assert _check(run).violations == ()


def test_a_closed_run_needs_its_audits(served_run) -> None:
    run = served_run()
    for path in sorted((run / "TEST04").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (run / "TEST01" / "verify_accuracy.txt").unlink()
    served_run.seal(run)
    assert _messages(run) == ["TEST01/verify_accuracy.txt is missing.", "There is no log of the TEST04 run."]


def test_an_open_run_needs_no_audits_and_no_target(served_run) -> None:
    missed = result.Quality(metric="accuracy", value=0.77, target=0.756954, reached=True)
    run = served_run(
        division="open",
        changes={"performance": {"effective_samples_per_query": 300}, "TEST01": {"num_errors": None}},
        outcome={"accuracy": missed, "closed_ineligible_because": ("TEST04 was not run.",)},
    )
    assert _check(run).violations == ()


def test_a_closed_run_is_not_good_where_it_says_so_itself(served_run) -> None:
    run = served_run(outcome={"closed_ineligible_because": ("The weights are not those that MLPerf provides.",)})
    verdict = _check(run)
    assert [found.message for found in verdict.violations] == [
        "The run itself says: The weights are not those that MLPerf provides."
    ]
    assert (verdict.compliant, verdict.good) == (True, False)


def test_a_mini_is_checked_against_its_own_config(served_run) -> None:
    lines = {"effective_min_duration_ms": 60_000, "effective_samples_per_query": 300}
    run = served_run(
        benchmark="resnet50_mini", division="open", asked={"min_duration_s": 60.0}, changes={"performance": lines}
    )
    verdict = _check(run)
    assert verdict.violations == ()
    assert (verdict.compliant, verdict.structure, verdict.good) == (None, "ok", True)
    assert verdict.notes[1] == "resnet50_mini is not an MLPerf benchmark: the run was checked against its own config."
    short = served_run(
        "short",
        benchmark="resnet50_mini",
        division="open",
        asked={"min_duration_s": 90.0},
        changes={"performance": lines},
    )
    assert _messages(short) == ["effective_min_duration_ms of the performance run is 60000; the minimum is 90000."]


def test_a_benchmark_of_ones_own_is_never_imported(served_run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    run = served_run(benchmark="tests.evil", division="closed")
    verdict = _check(run)
    assert [found.message for found in verdict.violations] == [
        "The division is closed, but tests.evil is not an MLPerf benchmark. Accepted: open, internal."
    ]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"schema": 1, "kind": "infer"}', '{"schema": 9, "kind": "infer", "config": {}}']
)
def test_a_damaged_result_is_told(served_run, content: str) -> None:
    run = served_run()
    (run / "result.json").write_text(content)
    verdict = _check(run)
    assert verdict.violations[0].message.startswith("result.json can't be read: ")
    assert not verdict.good


def test_a_result_without_its_spec_is_told(served_run) -> None:
    run = served_run()
    fields = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**fields, "config": {"scenario": {}}}))
    assert _messages(run)[0] == "result.json lacks the spec of the run."


def test_a_folder_holds_runs_of_both_kinds(served_run, write_log, tmp_path: pathlib.Path) -> None:
    write_log(pathlib.Path("trained/mllog.txt"))
    served_run("a")
    served_run("b", division="open")
    found = checker.check(tmp_path)
    assert [(pathlib.Path(verdict.path).name, verdict.kind, verdict.good) for verdict in found] == [
        ("mllog.txt", "train", True),
        ("a", "infer", True),
        ("b", "infer", True),
    ]


def test_one_log_of_an_inference_run_is_refused_with_what_to_do(served_run) -> None:
    with pytest.raises(UsageError, match="is a log of an inference run"):
        checker.check(served_run() / "performance" / "mlperf_log_detail.txt")


def test_a_multi_stream_run_may_ask_for_other_queries_in_the_open(served_run) -> None:
    run = served_run(scenario="multistream", division="internal", asked={"min_duration_s": 1.0})
    assert _check(run).structure == "ok"
    assert spec.MultiStream().samples_per_query == 8
