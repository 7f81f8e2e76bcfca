"""Verdicts on LoadGen's logs in folders of submissions."""

import json
import os
import pathlib
import random

import pytest

from tests.compliance import serving_logs
from tfperf.compliance import checker
from tfperf.compliance.verdict import Verdict

DATA = pathlib.Path(os.environ.get("TFPERF_DATA", pathlib.Path(__file__).parents[3] / "shared" / "data"))
PUBLISHED = DATA / "mlperf-logs" / "inference"
SUMMARY = """\
================================================
MLPerf Results Summary
================================================
SUT name : tf
Scenario : {scenario}
Mode     : PerformanceOnly
Samples per second: 47.1325
Result is : {validity}
  Min duration satisfied : {duration}
  Min queries satisfied : Yes

================================================
Test Parameters Used
================================================
samples_per_query : 24576
target_latency (ns): {bound}
min_duration (ms): {min_duration}
min_query_count : 270336
qsl_rng_seed : {seeds[0]}
sample_index_rng_seed : {seeds[1]}
schedule_rng_seed : {seeds[2]}
performance_sample_count : {samples}

No warnings encountered during test.

No errors encountered during test.
"""
V07 = (12786827339337101903, 12640797754436136668, 3135815929913719677)
AS_SUBMITTED = {
    "scenario": "Offline",
    "validity": "VALID",
    "duration": "Yes",
    "bound": 0,
    "min_duration": 60_000,
    "seeds": V07,
    "samples": 1024,
}


@pytest.fixture
def submit(tmp_path: pathlib.Path):
    """Writes a measurement in the format of v0.7, whose detail log is no MLLOG."""

    def write(accuracy="accuracy=76.456%, good=38228, total=50000\n", *, division="closed", **changes) -> pathlib.Path:
        folder = tmp_path / "v0.7" / division / "me" / "results" / "box" / "resnet50" / "Offline"
        run = folder / "performance" / "run_1"
        for path in (run, folder / "accuracy"):
            path.mkdir(parents=True)
        (run / "mlperf_log_summary.txt").write_text(SUMMARY.format(**{**AS_SUBMITTED, **changes}))
        (run / "mlperf_log_detail.txt").write_text('"pid": 1, "tid": 1, "ts": 11062ns : LoadgenVersionInfo:\n')
        if accuracy is not None:
            (folder / "accuracy" / "accuracy.txt").write_text(accuracy)
        return folder

    return write


def _check(path: pathlib.Path) -> Verdict:
    (verdict,) = checker.check(path)
    return verdict


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs published logs: set TFPERF_DATA")
@pytest.mark.data
def test_published_folders_get_the_verdict_of_loadgen() -> None:
    verdicts = {verdict.path: verdict for verdict in checker.check(PUBLISHED)}
    expected = {PUBLISHED / entry["dir"]: entry for entry in json.loads((PUBLISHED / "expected.json").read_text())}
    audits = PUBLISHED / "invalid-audit-runs"
    for entry in json.loads((audits / "expected.json").read_text()):
        expected[(audits / entry["path"]).parents[2]] = entry
    assert set(verdicts) == {str(path) for path in expected}
    for path, entry in expected.items():
        found = verdicts[str(path)]
        assert found.status == {"VALID": "success", "INVALID": "invalid"}[entry["result"]]
        assert found.good == (entry["result"] == "VALID")
        assert found.ruleset in path.parts
        for reason in entry.get("reasons", ()):
            assert reason.replace(" :", ":") in found.violations[0].message
        if "metrics" in entry:
            assert any(text.strip() in found.notes[0] for text in entry["metrics"].values()) or "MultiStream" in str(
                path
            )


def test_a_round_before_mllog_is_read_from_its_summary(submit) -> None:
    found = _check(submit())
    assert (found.violations, found.remarks) == ((), ())
    assert (found.kind, found.status, found.compliant, found.structure) == ("loadgen", "success", None, "ok")
    assert (found.benchmark, found.division, found.ruleset) == ("resnet50", "closed", "v0.7")
    assert found.notes[0] == "LoadGen calls the Offline run in run_1 VALID: Samples per second: 47.1325"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"validity": "INVALID", "duration": "NO"},
            "LoadGen calls the run in run_1 INVALID: Min duration satisfied: NO.",
        ),
        ({"seeds": (1, 2, 3)}, "The seeds are not those of any round from v0.5 to v6.1."),
        (
            {"seeds": (3133965575612453542, 665484352860916858, 3622009729038561421)},
            "The seeds are those of v0.5; the path says v0.7.",
        ),
        ({"min_duration": 59_999}, "effective_min_duration_ms is 59999; the minimum of v0.7 is 60000."),
        ({"samples": 1023}, "effective_performance_sample_count is 1023; the minimum of v0.7 is 1024."),
        (
            {"scenario": "Server", "bound": 15_000_001},
            "effective_target_latency_ns is 15000001; the bound of v0.7 is 15000000.",
        ),
        (
            {"accuracy": "accuracy=75.695%, good=1, total=50000\n"},
            "The accuracy is 75.695; the target of the closed division is 75.6954.",
        ),
        ({"accuracy": "no number\n"}, "accuracy/accuracy.txt holds no accuracy."),
        ({"accuracy": None}, "There is no accuracy/accuracy.txt, so nothing shows the accuracy."),
    ],
)
def test_what_breaks_the_rules_of_the_round_is_named(submit, changes, message: str) -> None:
    found = _check(submit(**changes))
    assert [violation.message for violation in found.violations] == [message]
    assert (found.compliant, found.good) == (False, False)


def test_the_accuracy_of_an_open_result_is_only_remarked(submit) -> None:
    found = _check(submit("accuracy=70.0%\n", division="open"))
    assert found.good
    assert [remark.message for remark in found.remarks] == [
        "The accuracy is 70; the target of the closed division is 75.6954."
    ]


def test_a_summary_that_is_cut_off_shows_no_end(submit) -> None:
    folder = submit()
    path = folder / "performance" / "run_1" / "mlperf_log_summary.txt"
    path.write_text(path.read_text().partition("Result is")[0])
    found = _check(folder)
    assert (found.status, found.structure, found.good) == ("incomplete", "broken", False)
    assert "is cut off" in found.violations[0].message


def test_a_later_round_is_read_from_its_detail_log_too(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "closed" / "me" / "results" / "box" / "resnet50" / "Server"
    run = folder / "performance" / "run_1"
    lines = {**serving_logs.SHARED_LINES, **serving_logs.PERFORMANCE_LINES, "effective_scenario": "Server"}
    serving_logs.write_detail_log(run, {**lines, "result_validity": "INVALID", "error_runtime": "it broke"})
    (run / "mlperf_log_summary.txt").write_text("Result is : VALID\n\n1 ERROR encountered. See detailed log.\n")
    found = _check(folder)
    assert found.ruleset == "v6.1"
    assert [violation.message for violation in found.violations] == [
        "LoadGen calls the run in run_1 INVALID.",
        "The summary in run_1 says VALID, the detail log says INVALID.",
        "LoadGen reports an error: error_runtime: it broke.",
        "There is no accuracy/accuracy.txt, so nothing shows the accuracy.",
    ]


def test_a_folder_named_after_another_scenario_is_remarked(submit) -> None:
    found = _check(submit(scenario="SingleStream"))
    assert found.good
    assert [remark.message for remark in found.remarks] == [
        "The folder is named Offline, and its logs are of SingleStream."
    ]


def test_a_single_run_can_be_checked_by_its_own_folder(submit) -> None:
    assert _check(submit() / "performance" / "run_1").status == "success"


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_get_a_verdict(submit, seed: int) -> None:
    random_ = random.Random(seed)
    folder = submit(accuracy=f"accuracy={'7.6' * random_.randrange(9)}%\n")
    summary = folder / "performance" / "run_1" / "mlperf_log_summary.txt"
    text = summary.read_text()
    for number in random_.sample(("24576", "60000", "270336", "1024", str(V07[0])), 2):
        text = text.replace(number, random_.choice(("9" * 5000, "-1", "nan", "\u0661\u0662", "", "1e400", "\x1b[31m")))
    text = text.replace("No errors", f"{'9' * 5000} errors") if random_.random() < 0.3 else text
    content = bytearray(text.encode())
    for _ in range(random_.randrange(5)):
        content[random_.randrange(len(content))] = random_.randrange(256)
    summary.write_bytes(content[: random_.randrange(len(content))] if random_.random() < 0.3 else content)
    assert _check(folder).kind == "loadgen"


@pytest.mark.parametrize(("outcome", "good"), [("TEST PASS", True), ("TEST FAIL", False)])
def test_a_compliance_test_is_read_with_its_outcome(submit, outcome: str, good: bool) -> None:
    measured = submit()
    folder = measured / "TEST04"
    folder.mkdir()
    (measured / "performance").rename(folder / "performance")
    (folder / "verify_performance.txt").write_text(f"result ...\n{outcome}\n")
    found = _check(folder)
    assert found.good == good
    assert f"verify_performance.txt {'says' if good else 'does not say'} TEST PASS." in found.notes


def test_the_folder_of_an_accuracy_run_alone_has_no_verdict(submit) -> None:
    folder = submit() / "accuracy"
    (folder / "mlperf_log_summary.txt").write_text("\nNo warnings encountered during test.\n\nNo errors encountered.\n")
    assert _check(folder).violations[0].message.startswith("The logs in accuracy are of an accuracy run")
