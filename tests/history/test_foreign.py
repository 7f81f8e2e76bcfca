"""Results that tfperf did not measure are listed, too: LoadGen's logs, submission trees and MLLOG files."""

import json
import pathlib
import shutil

import pytest

from tests.compliance import serving_logs
from tests.compliance.conftest import WriteLog, write_log
from tfperf import loadgen_log
from tfperf.history import history
from tfperf.history.history import Series

__all__ = ["write_log"]

SUMMARY = """\
SUT name : tf
Scenario : SingleStream
Mode     : PerformanceOnly
QPS w/ loadgen overhead         : 12.93
Result is : {validity}
50.00 percentile latency (ns)   : 77000000
99.00 percentile latency (ns)   : 81000000

No warnings encountered during test.

No errors encountered during test.
"""


def only_series(store: pathlib.Path) -> Series:
    (found,) = history.read(store).series
    return found


@pytest.mark.parametrize(("validity", "fit"), [("VALID", 1), ("INVALID", 0)])
def test_a_submission_tree_is_listed_by_its_folders(validity: str, fit: int, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "v0.7" / "open" / "some" / "results" / "board" / "resnet50" / "singlestream"
    for name in ("performance/run_1", "accuracy", "TEST01/performance/run_1"):
        (folder / name).mkdir(parents=True)
        (folder / name / loadgen_log.SUMMARY).write_text(SUMMARY.format(validity=validity), encoding="utf-8")
    series = only_series(tmp_path)
    key = series.key
    assert (key.division, key.benchmark, key.scenario, key.system) == ("open", "resnet50", "SingleStream", "board")
    assert (len(series.runs), len(series.fit)) == (1, fit)
    assert series.newest.source == "loadgen"
    assert series.newest.figures["throughput"] == pytest.approx(12.93)
    assert not list(history.read(tmp_path).others)


def test_loadgens_logs_in_any_folder_are_listed(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "night" / "resnet50" / "offline"
    folder.mkdir(parents=True)
    serving_logs.write_detail_log(
        folder,
        {
            "effective_scenario": "Offline",
            "effective_test_mode": "PerformanceOnly",
            "result_samples_per_second": 812.5,
            "result_validity": "VALID",
            "test_datetime": "2026-03-01T10:00:00Z",
            "num_errors": 0,
        },
    )
    entry = only_series(tmp_path).newest
    assert entry.figures == {"throughput": 812.5}
    assert entry.started_s == 1772359200.0


def test_a_training_log_is_listed_with_its_time_and_quality(write_log: WriteLog, tmp_path: pathlib.Path) -> None:
    store = tmp_path / "store"
    for number in range(3):
        write_log(pathlib.Path("store", "results", f"result_{number}.txt"), seed=number)
    (store / "notes.txt").write_text("nothing\n", encoding="utf-8")
    series = only_series(store)
    assert (series.key.benchmark, series.key.scenario, len(series.runs)) == ("resnet", "training", 3)
    assert series.newest.source == "mllog"
    assert series.newest.quality is not None


def test_the_logs_of_tfperfs_own_runs_are_not_listed_twice(tmp_path: pathlib.Path, write_log: WriteLog) -> None:
    series = tmp_path / "store" / "five"
    write_log(pathlib.Path("store", "five", "results", "some", "result_0.txt"))
    (series / "series.json").write_text(json.dumps({}), encoding="utf-8")
    assert history.read(tmp_path / "store").series == ()


@pytest.mark.data
def test_published_results_are_listed(shared_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Each result of training that the official checker accepts counts, with the minutes that it says."""
    copied = pathlib.Path(shutil.copytree(shared_data / "mlperf-logs", tmp_path / "published"))
    found = history.read(copied)
    assert not [each for each in found.others if each.state == "damaged"]
    expected = json.loads((copied / "training" / "expected.json").read_text(encoding="utf-8"))
    listed = {each.path: each for series in found.series for each in series.runs if each.source == "mllog"}
    assert len(listed) == len(expected)
    for each in expected:
        figures = listed[each["file"]].figures
        assert figures.get("time_to_train", 0.0) == pytest.approx(
            each["run_minutes"] * 60 if each["checker_valid"] else 0
        )
    served = [each for series in found.series for each in series.fit if each.source == "loadgen"]
    assert all(each.figures for each in served)
