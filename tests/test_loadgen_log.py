"""LoadGen's detail log, as LoadGen itself writes it."""

import json
import pathlib
import struct
import subprocess
import sys

import pytest

from tfperf import loadgen_log

# The SUT answers at once in a process of its own, as LoadGen keeps state in the process that runs it.
_RUN = """
import ctypes, sys
import mlperf_loadgen as lg

directory, scenario, mode, target_qps, duration_ms, max_async = sys.argv[1], *map(int, sys.argv[2:])
answer = (ctypes.c_float * 1)(1.0)
kept = []

def issue(ids, indices):
    kept.extend(ids)
    if not max_async:
        flush()

def flush():
    lg.QuerySamplesComplete([lg.QuerySampleResponse(sample, ctypes.addressof(answer), 4) for sample in kept])
    kept.clear()

settings = lg.TestSettings()
settings.scenario, settings.mode = lg.TestScenario(scenario), lg.TestMode(mode)
settings.min_duration_ms, settings.min_query_count = duration_ms, 1
settings.server_target_qps, settings.server_max_async_queries = target_qps, max_async
log = lg.LogSettings()
log.enable_trace = False
log.log_output.outdir = directory
sut = lg.ConstructFastSUT(issue, flush)
library = lg.ConstructQSL(8, 8, lambda indices: None, lambda indices: None)
lg.StartTestWithLogSettings(sut, library, settings, log, directory + "/no-audit.config")
"""
_SINGLE_STREAM, _SERVER = 0, 2
_ACCURACY, _PERFORMANCE = 1, 2
_SAMPLES = 8


def _loadgen(
    directory: pathlib.Path,
    *,
    scenario: int,
    mode: int = _PERFORMANCE,
    target_qps: int = 1000,
    duration_ms: int = 100,
    max_async: int = 0,
) -> pathlib.Path:
    """Makes LoadGen's log of one short run."""
    directory.mkdir()
    asked = [str(number) for number in (scenario, mode, target_qps, duration_ms, max_async)]
    subprocess.run([sys.executable, "-c", _RUN, str(directory), *asked], check=True, timeout=60, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of a Server run of 1 s that proves its 99th percentile."""
    return _loadgen(tmp_path_factory.mktemp("logs") / "server", scenario=_SERVER, duration_ms=1000)


def test_reads_what_a_run_says(server_log):
    log = loadgen_log.read(server_log)
    assert log.ended
    assert log.errors == ()
    assert log.values["effective_scenario"] == "Server"
    assert log.values["effective_target_qps"] == 1000
    assert log.values["effective_min_duration_ms"] == 1000
    assert log.values["result_min_duration_met"] is True
    assert log.values["result_query_count"] == pytest.approx(1000, rel=0.2)
    assert log.values["result_99.00_percentile_latency_ns"] > 0
    assert log.values["num_errors"] == 0


def test_gives_the_metric_that_submissions_are_scored_by(server_log):
    metric = loadgen_log.metric(loadgen_log.read(server_log))
    assert metric is not None
    assert (metric.name, metric.unit) == ("result_completed_samples_per_sec", "samples/s")
    assert metric.value == pytest.approx(1000, rel=0.2)


def test_the_names_of_the_files_are_loadgen_s(server_log):
    names = {path.name for path in server_log.iterdir()}
    assert {loadgen_log.DETAIL, loadgen_log.SUMMARY, loadgen_log.ACCURACY} <= names


def test_tells_a_run_of_another_scenario(tmp_path):
    log = loadgen_log.read(_loadgen(tmp_path / "single", scenario=_SINGLE_STREAM, duration_ms=50))
    metric = loadgen_log.metric(log)
    assert log.values["effective_scenario"] == "SingleStream"
    assert metric is not None
    assert (metric.name, metric.unit) == ("early_stopping_latency_ss", "ns")
    assert 0 < metric.value < 1e9


def test_reads_the_responses_of_an_accuracy_run(tmp_path):
    directory = _loadgen(tmp_path / "accuracy", scenario=_SINGLE_STREAM, mode=_ACCURACY)
    log = loadgen_log.read(directory)
    assert log.ended
    assert loadgen_log.metric(log) is None
    found = loadgen_log.responses(directory)
    assert sorted(number for number, _ in found) == list(range(_SAMPLES))
    assert {response for _, response in found} == {struct.pack("<f", 1.0).hex().upper()}


@pytest.mark.parametrize("content", ["", '[\n{"seq_id": 0, "qsl_idx": 3, "da', '[{"seq_id": 0}]', "[7]", "7"])
def test_refuses_an_accuracy_log_that_is_cut_off_or_none(content, tmp_path):
    (tmp_path / loadgen_log.ACCURACY).write_text(content)
    with pytest.raises(ValueError, match=rf"{loadgen_log.ACCURACY} can't be read: "):
        loadgen_log.responses(tmp_path)


def test_names_the_errors_of_a_run_that_loadgen_gave_up(tmp_path):
    log = loadgen_log.read(_loadgen(tmp_path / "hopeless", scenario=_SERVER, max_async=10))
    assert log.ended
    assert log.values["result_validity"] == "INVALID"
    assert log.values["num_errors"] == len(log.errors) == 1
    assert log.errors[0].startswith("error_runtime: IssueQueryThread 0 Ending early: Too many outstanding queries.")


@pytest.mark.parametrize("lost", [1, 40, 400])
def test_leaves_out_the_line_that_a_killed_run_left_unfinished(server_log, tmp_path, lost):
    whole = (server_log / loadgen_log.DETAIL).read_bytes()
    (tmp_path / loadgen_log.DETAIL).write_bytes(whole[: whole.rindex(b'"num_errors"') - lost])
    cut = loadgen_log.read(tmp_path)
    assert not cut.ended
    assert cut.values["effective_scenario"] == "Server"
    assert cut.values.items() <= loadgen_log.read(server_log).values.items()


@pytest.mark.parametrize("kept", [0, 5])
def test_reads_nothing_from_a_log_that_hardly_began(server_log, tmp_path, kept):
    (tmp_path / loadgen_log.DETAIL).write_bytes((server_log / loadgen_log.DETAIL).read_bytes()[:kept])
    assert loadgen_log.read(tmp_path) == loadgen_log.LoadgenLog(values={}, errors=(), warnings=(), ended=False)


def test_passes_over_lines_that_are_not_of_the_log(tmp_path):
    entry = {"key": "num_errors", "value": 2, "metadata": {"is_error": False}}
    warning = {"key": "warning_generic_message", "value": "slow", "metadata": {"is_warning": True}}
    lines = [":::MLLOG 7", ":::MLLOG []", ':::MLLOG {"key": 1}', "a word", "\udcff"]
    lines += [f":::MLLOG {json.dumps(value)}" for value in (entry, warning)]
    (tmp_path / loadgen_log.DETAIL).write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
    log = loadgen_log.read(tmp_path)
    assert log.values == {"num_errors": 2, "warning_generic_message": "slow"}
    assert log.warnings == ("warning_generic_message: slow",)


def test_says_where_there_is_no_log(tmp_path):
    with pytest.raises(FileNotFoundError, match=loadgen_log.DETAIL):
        loadgen_log.read(tmp_path)
