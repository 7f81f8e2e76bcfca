"""The compliance tests TEST01 and TEST04, against what the official scripts print of the same logs."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest

from tests.compliance.serving_logs import (
    PERFORMANCE_LINES,
    SCENARIO_LINES,
    SHARED_LINES,
    labelled,
    write_detail_log,
    write_responses,
)
from tfperf import benchmarks, loadgen_log
from tfperf.compliance import audit_baseline, audits, serving_inspection
from tfperf.errors import TfperfError

TASK = benchmarks.task("resnet50", "infer")
# Sample n is of class n, but for the last ones, whose answers below are wrong.
SAMPLES = labelled([*range(60), *[999] * 20])

# (scenario, metric of the run, metric of the test, last line of compliance/TEST01/verify_performance.py)
PERFORMANCE = [
    ("singlestream", 5e6, 5.4e6, "TEST PASS"),
    ("singlestream", 5e6, 5.6e6, "TEST FAIL: Test score invalid"),
    ("singlestream", 5e6, 4.4e6, "TEST FAIL: Test score invalid"),
    ("singlestream", 1.5e5, 1.75e5, "TEST PASS"),
    ("multistream", 1.5e6, 1.75e6, "TEST PASS"),
    ("offline", 40.0, 43.9, "TEST PASS"),
    ("offline", 40.0, 44.5, "TEST FAIL: Test score invalid"),
    ("offline", 40.0, 35.0, "TEST FAIL: Test score invalid"),
    ("server", 300.0, 310.5, "TEST PASS"),
]

# (scenario, metric of the run, metric of the test, what is printed of them, last line) for TEST04
SAME_SAMPLE = [
    ("singlestream", 5e6, 4.6e6, ("200.0", "217.3913043478261"), "TEST PASS"),
    ("singlestream", 5e6, 9e6, ("200.0", "111.11111111111111"), "TEST PASS"),
    ("singlestream", 5e6, 4.4e6, ("200.0", "227.27272727272728"), "TEST FAIL: Test score invalid"),
    ("offline", 40.0, 43.9, ("40.0", "43.9"), "TEST PASS"),
    ("offline", 40.0, 44.5, ("40.0", "44.5"), "TEST FAIL: Test score invalid"),
    ("offline", 40.0, 10.0, ("40.0", "10.0"), "TEST PASS"),
]

LOGGED = ((0, 1.0), (1, 2.0), (2, 3.0), (1, 2.0), (3, 4.0))
# (logged, sampled, the counts of compliance/TEST01/verify_accuracy.py, its last line)
ACCURACY = [
    (LOGGED, ((0, 1.0), (3, 4.0), (0, 1.0)), (5, 1, 0, 3, 3, 0, 0), "TEST PASS"),
    (LOGGED, ((0, 1.0), (3, 5.0)), (5, 1, 0, 2, 2, 1, 0), "TEST FAIL"),
    (LOGGED, ((9, 1.0),), (5, 1, 0, 1, 0, 0, 1), "TEST FAIL"),
    (LOGGED, ((0, 1.0), (9, 1.0)), (5, 1, 0, 2, 1, 0, 1), "TEST PASS"),
    (LOGGED, (), (5, 1, 0, 0, 0, 0, 0), "TEST FAIL"),
    (((0, 1.0), (0, 2.0)), ((0, 1.0),), (2, 1, 1, 1, 1, 0, 0), "TEST PASS"),
]
COUNTS = (
    "num_acc_log_entries",
    "num_acc_log_duplicate_keys",
    "num_acc_log_data_mismatch",
    "num_perf_log_entries",
    "num_perf_log_qsl_idx_match",
    "num_perf_log_data_mismatch",
    "num_missing_qsl_idxs",
)


# Answers each sample with its own number, under LoadGen, for a fifth of a second.
SERVE = """
import sys
import mlperf_loadgen as lg
import numpy as np

mode, log_dir, audit_config = sys.argv[1:]
answers = np.arange(64, dtype=np.float32)
settings = lg.TestSettings()
settings.FromConfig("", "resnet50", "SingleStream", 0)
settings.scenario, settings.mode = lg.TestScenario.SingleStream, getattr(lg.TestMode, mode)
settings.min_duration_ms, settings.min_query_count = 200, 100
settings.performance_sample_count_override = 64

def issue(ids, indices):
    data = answers.ctypes.data
    lg.QuerySamplesComplete([lg.QuerySampleResponse(i, data + 4 * n, 4) for i, n in zip(ids, indices, strict=True)])

log = lg.LogSettings()
log.enable_trace, log.log_output.outdir = False, log_dir
library = lg.ConstructQSL(64, 64, lambda loaded: None, lambda loaded: None)
settings.single_stream_expected_latency_ns = 500
lg.StartTestWithLogSettings(lg.ConstructFastSUT(issue, lambda: None), library, settings, log, audit_config)
"""


def _lines(scenario: str, metric: float, **changes: object) -> dict[str, object]:
    name, own = SCENARIO_LINES[scenario]
    lines = {**SHARED_LINES, "effective_scenario": name, **own, **PERFORMANCE_LINES}
    return {**lines, loadgen_log.METRICS[name][0]: metric, **changes}


def _verify(test: str, folder: pathlib.Path) -> audits.AuditVerdict:
    return audits.verify(test, folder, task=TASK, samples=SAMPLES)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for role in ("performance", "TEST01/performance", "TEST04/performance"):
        write_detail_log(tmp_path / role, _lines("offline", 40.0))
    write_responses(tmp_path / "accuracy", LOGGED)
    write_responses(tmp_path / "TEST01" / "performance", LOGGED[:2])
    return tmp_path


@pytest.mark.parametrize(("scenario", "score", "test_score", "last"), PERFORMANCE)
def test_test01_compares_the_speed_as_the_official_script(
    folder: pathlib.Path, scenario: str, score: float, test_score: float, last: str
) -> None:
    write_detail_log(folder / "performance", _lines(scenario, score))
    write_detail_log(folder / "TEST01" / "performance", _lines(scenario, test_score))
    verdict = _verify("TEST01", folder)
    text = f"Verifying performance.\nReference score = {score}\nTest score = {test_score}\n{last}\n"
    assert (folder / "TEST01" / "verify_performance.txt").read_text() == text
    assert verdict.performance == text
    assert verdict.passed == (last == "TEST PASS")


@pytest.mark.parametrize(("scenario", "score", "test_score", "told", "last"), SAME_SAMPLE)
def test_test04_asks_that_one_sample_is_not_faster_than_all(
    folder: pathlib.Path, scenario: str, score: float, test_score: float, told: tuple[str, str], last: str
) -> None:
    write_detail_log(folder / "performance", _lines(scenario, score))
    write_detail_log(folder / "TEST04" / "performance", _lines(scenario, test_score))
    verdict = _verify("TEST04", folder)
    text = f"Verifying performance.\nreference score = {told[0]}\ntest score = {told[1]}\n{last}\n"
    assert (folder / "TEST04" / "verify_performance.txt").read_text() == text
    assert verdict.passed == (last == "TEST PASS")
    assert verdict.accuracy is None
    assert not (folder / "TEST04" / "verify_accuracy.txt").exists()


@pytest.mark.parametrize(("logged", "sampled", "counts", "last"), ACCURACY)
def test_test01_compares_responses_as_the_official_script(
    folder: pathlib.Path, logged: tuple, sampled: tuple, counts: tuple[int, ...], last: str
) -> None:
    write_responses(folder / "accuracy", logged)
    write_responses(folder / "TEST01" / "performance", sampled)
    verdict = _verify("TEST01", folder)
    begin = "Verifying accuracy. This might take a while...\nReading accuracy mode results...\n"
    told = "".join(f"{name} = {count}\n" for name, count in zip(COUNTS, counts, strict=True))
    text = f"{begin}Reading performance mode results...\n{told}{last}\n\n"
    assert (folder / "TEST01" / "verify_accuracy.txt").read_text() == text
    assert verdict.accuracy == text
    if verdict.baseline is None:
        assert verdict.passed == (last == "TEST PASS")


# Of 80 samples 60 are answered right.
ANSWERED = tuple((number, float(number)) for number in range(80))


def _answer_differently(folder: pathlib.Path, numbers: range) -> None:
    """Logs every second sample under TEST01, with another class for these."""
    write_responses(folder / "accuracy", ANSWERED)
    sampled = [(number, 500.0 if number in numbers else answer) for number, answer in ANSWERED[::2]]
    write_responses(folder / "TEST01" / "performance", sampled)


def test_responses_in_other_bits_pass_test01_by_their_accuracy(folder: pathlib.Path) -> None:
    _answer_differently(folder, range(70, 80))
    verdict = _verify("TEST01", folder)
    assert verdict.passed
    assert verdict.failures == ()
    assert verdict.summary.startswith("passed by accuracy, not bit for bit: Verifying accuracy.")
    assert (
        "TEST PASS: over 40 samples the accuracy is 0.75 in the test and 0.75 in the accuracy run, a difference of "
        "0 %; 1 % is accepted"
    ) in verdict.lines
    assert audits.files(verdict) == (
        "verify_accuracy.txt",
        "verify_performance.txt",
        "accuracy/baseline_accuracy.txt",
        "accuracy/compliance_accuracy.txt",
    )
    assert all((folder / "TEST01" / name).is_file() for name in audits.files(verdict))
    assert (folder / "TEST01" / "verify_accuracy.txt").read_text().endswith("TEST FAIL\n\n")


def test_the_evidence_is_what_the_official_scripts_leave(folder: pathlib.Path) -> None:
    _answer_differently(folder, range(0, 8))
    verdict = _verify("TEST01", folder)
    assert verdict.failures == (
        "TEST FAIL",
        "TEST FAIL: over 40 samples the accuracy is 0.65 in the test and 0.75 in the accuracy run, a difference of "
        "15.38 %; 1 % is accepted",
    )
    assert verdict.summary.startswith("FAILED: ")
    evidence = folder / "TEST01" / "accuracy"
    assert (evidence / "baseline_accuracy.txt").read_text() == "accuracy=75.000%, good=30, total=40\n"
    assert (evidence / "compliance_accuracy.txt").read_text() == "accuracy=65.000%, good=26, total=40\n"
    # What create_accuracy_baseline.sh writes: the lines of the accuracy log for the samples of the test.
    logged = (folder / "accuracy" / "mlperf_log_accuracy.json").read_text().splitlines()
    kept = [line for line in logged[1:-1] if int(line.split('"qsl_idx" : ')[1].split(",")[0]) % 2 == 0]
    text = "\n".join(["[", *kept[:-1], kept[-1].removesuffix(","), "]"]) + "\n"
    assert (evidence / "mlperf_log_accuracy_baseline.json").read_text() == text
    assert len(loadgen_log.answers(folder / "accuracy")) == 80


def test_equal_bits_need_no_comparison_by_accuracy(folder: pathlib.Path) -> None:
    verdict = _verify("TEST01", folder)
    assert verdict.baseline is None
    assert verdict.summary.startswith("passed: Verifying accuracy.")
    assert not (folder / "TEST01" / "accuracy").exists()


@pytest.mark.parametrize(
    ("share", "accepted"), [(0.99, 0.01), (0.999, 0.001), (1.0, 0.0)], ids=["99 %", "99.9 %", "100 %"]
)
def test_the_accepted_difference_is_that_of_the_target(share: float, accepted: float) -> None:
    quality = dataclasses.replace(TASK.quality, value=round(0.7646 * share, 6))
    assert audit_baseline.tolerance(dataclasses.replace(TASK, quality=quality)) == accepted


@pytest.mark.parametrize(
    ("baseline", "audited", "passed"),
    [(0.75, 0.7575, True), (0.75, 0.76, False), (0.76, 0.753, True), (0.76, 0.75, False), (0.0, 0.0, False)],
)
def test_the_difference_is_that_of_the_submission_checker(baseline: float, audited: float, passed: bool) -> None:
    compared = audit_baseline.BaselineComparison(samples=9, tolerance=0.01, baseline=baseline, audited=audited)
    assert compared.passed is passed


def test_responses_that_cannot_be_scored_fail_the_test_and_say_why(folder: pathlib.Path) -> None:
    write_responses(folder / "accuracy", [(0, 1.5), (1, 1.0)])
    write_responses(folder / "TEST01" / "performance", [(0, 0.0), (1, 1.0)])
    verdict = _verify("TEST01", folder)
    assert verdict.failures[1] == "TEST FAIL: A response must be the number of a class; that of sample 0 is 1.5."
    assert not (folder / "TEST01" / "accuracy").exists()


def test_a_check_without_the_data_set_comes_to_the_same_verdict(folder: pathlib.Path) -> None:
    _answer_differently(folder, range(70, 80))
    TASK.scoring.write(folder / "accuracy", dict.fromkeys(range(80), bytes(4)), SAMPLES, 0.75)
    assert audits.recheck("TEST01", folder, task=TASK) == _verify("TEST01", folder)
    unable = dataclasses.replace(TASK, scoring=dataclasses.replace(TASK.scoring, recompute=None))
    assert audits.recheck("TEST01", folder, task=unable).passed
    (folder / "TEST01" / "accuracy" / "baseline_accuracy.txt").unlink()
    assert audits.recheck("TEST01", folder, task=unable).failures == ("TEST FAIL",)


def test_every_part_of_a_test_counts(folder: pathlib.Path) -> None:
    assert _verify("TEST01", folder).passed
    assert _verify("TEST01", folder).lines[-1] == "TEST PASS"
    write_detail_log(folder / "TEST01" / "performance", _lines("offline", 1.0))
    assert not _verify("TEST01", folder).passed


@pytest.mark.parametrize("test", audits.NAMES)
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (_lines("offline", 40.0, result_validity="INVALID"), "Invalid results in {path}"),
        (_lines("offline", 40.0, result_samples_per_second=None), "Invalid results in {path}"),
        (_lines("server", 40.0), "Test and reference scenarios do not match!"),
    ],
)
def test_a_run_that_is_no_evidence_fails_the_test(
    folder: pathlib.Path, test: str, lines: dict[str, object], reason: str
) -> None:
    write_detail_log(folder / test / "performance", lines)
    verdict = _verify(test, folder)
    path = folder / test / "performance" / "mlperf_log_detail.txt"
    assert verdict.performance == f"Verifying performance.\nTEST FAIL: {reason.format(path=path)}\n"
    assert not verdict.passed


def test_another_latency_bound_fails_the_test(folder: pathlib.Path) -> None:
    write_detail_log(folder / "performance", _lines("server", 300.0))
    write_detail_log(folder / "TEST04" / "performance", _lines("server", 300.0, effective_target_latency_ns=16_000_000))
    assert _verify("TEST04", folder).performance.endswith("TEST FAIL: Server target latency mismatch\n")


@pytest.mark.parametrize("content", [None, "[\n", '[{ "seq_id" : 0 }]', "3"])
def test_responses_that_cannot_be_read_fail_the_test(folder: pathlib.Path, content: str | None) -> None:
    log = folder / "TEST01" / "performance" / "mlperf_log_accuracy.json"
    log.unlink()
    if content is not None:
        log.write_text(content)
    verdict = _verify("TEST01", folder)
    assert verdict.accuracy is not None
    assert "TEST FAIL: " in verdict.accuracy
    assert str(log) in verdict.accuracy
    assert not verdict.passed


def test_the_audit_configs_are_the_official_ones() -> None:
    assert audits.audit_config("TEST01", TASK).splitlines() == [
        "*.*.mode = 2",
        "*.*.accuracy_log_rng_seed = 720381539243781796",
        "*.*.accuracy_log_sampling_target = 4096",
    ]
    test04 = audits.audit_config("TEST04", TASK).splitlines()
    assert len(test04) == 16
    assert "*.Server.performance_issue_same_index = 3" in test04


def test_a_benchmark_says_how_many_responses_test01_logs() -> None:
    fewer = dataclasses.replace(TASK, audited_responses=256)
    assert "accuracy_log_sampling_target = 256" in audits.audit_config("TEST01", fewer)


def test_a_test_that_the_benchmark_does_not_have_is_refused(folder: pathlib.Path) -> None:
    without = dataclasses.replace(TASK, audits=("TEST01",), submission_benchmark="bert-99")
    with pytest.raises(TfperfError, match=r"TEST04 is not a compliance test of bert-99\. Accepted: TEST01\."):
        audits.audit_config("TEST04", without)
    with pytest.raises(TfperfError, match=r"TEST06 can't be verified\. Accepted: TEST01, TEST04\."):
        _verify("TEST06", folder)


def test_loadgen_does_as_the_audit_configs_say(tmp_path: pathlib.Path) -> None:
    runs = [("AccuracyOnly", "accuracy", ""), ("PerformanceOnly", "performance", "")]
    runs += [("PerformanceOnly", f"{test}/performance", audits.audit_config(test, TASK)) for test in audits.NAMES]
    for mode, folder, text in runs:
        log_dir, audit_config = tmp_path / folder, tmp_path / folder / "audit.config"
        log_dir.mkdir(parents=True)
        if text:
            audit_config.write_text(text)
        subprocess.run([sys.executable, "-c", SERVE, mode, str(log_dir), str(audit_config)], check=True)
    for test in audits.NAMES:
        log = loadgen_log.read(tmp_path / test / "performance")
        assert list(serving_inspection.under_test(log, name=test)) == []
        assert log.ended
    ordinary = loadgen_log.read(tmp_path / "performance")
    assert list(serving_inspection.ordinary(ordinary)) == []
    assert len(list(serving_inspection.under_test(ordinary, name="TEST01"))) == 1
    verdict = _verify("TEST01", tmp_path)
    assert verdict.accuracy is not None
    assert verdict.accuracy.splitlines()[-2:] == ["TEST PASS", ""]
