"""Why LoadGen calls a run INVALID, on logs that LoadGen writes here."""

import dataclasses
import pathlib
import re
import subprocess
import sys

import pytest

from tfperf import loadgen_log
from tfperf.analysis import early_stopping, invalidity

PROGRAM = """
import queue, sys, threading, time
import mlperf_loadgen as loadgen

scenario, settings_text, service_s, log_dir = sys.argv[1:]
settings = loadgen.TestSettings()
settings.mode = loadgen.TestMode.PerformanceOnly
settings.scenario = getattr(loadgen.TestScenario, scenario)
for name, value in eval(settings_text).items():
    setattr(settings, name, value)
waiting = queue.SimpleQueue()

def answer():
    while True:
        ids = waiting.get()
        time.sleep(float(service_s))
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(number, 0, 0) for number in ids])

threading.Thread(target=answer, daemon=True).start()
sut = loadgen.ConstructFastSUT(lambda ids, indices: waiting.put(ids), lambda: None)
library = loadgen.ConstructQSL(16, 16, lambda indices: None, lambda indices: None)
logs = loadgen.LogSettings()
logs.enable_trace = False
logs.log_output.outdir = log_dir
loadgen.StartTestWithLogSettings(sut, library, settings, logs, log_dir + "/none")
"""


def run(log_dir: pathlib.Path, scenario: str, *, service_s: float, **settings: float) -> loadgen_log.LoadgenLog:
    command = [sys.executable, "-c", PROGRAM, scenario, repr(settings), str(service_s), str(log_dir)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return loadgen_log.read(log_dir)


def shape(reasons: tuple[str, ...]) -> list[str]:
    """The reasons with `#` for what differs between runs."""
    return [re.sub(r"\d[\d,.]*(e[+-]\d+)?(?=\D|$)", "#", reason) for reason in reasons]


def server(log_dir: pathlib.Path, *, service_s: float, **settings: float) -> loadgen_log.LoadgenLog:
    defaults = {"server_target_qps": 200, "min_duration_ms": 500, "min_query_count": 50}
    return run(log_dir, "Server", service_s=service_s, **{**defaults, **settings})


def test_a_valid_run_needs_no_explanation(tmp_path):
    log = run(
        tmp_path,
        "SingleStream",
        service_s=0.001,
        single_stream_expected_latency_ns=500_000,
        min_duration_ms=300,
        min_query_count=64,
    )

    assert log.values["result_validity"] == "VALID"
    assert invalidity.explain(log, other_cpu_share=0.9) == ()


def test_as_many_latencies_are_discarded_as_loadgen_says(tmp_path):
    log = run(
        tmp_path,
        "SingleStream",
        service_s=0.0,
        single_stream_expected_latency_ns=2_000,
        min_duration_ms=200,
        min_query_count=2_000,
    )

    said = re.search(r"Would discard (\d+) highest", log.values["early_stopping_result"])
    assert said is not None
    queries = log.values["result_query_count"]
    assert early_stopping.discarded(queries, percentile=90) == int(said[1])


def test_a_server_that_is_too_slow_names_the_rate_it_keeps_up_with(tmp_path):
    log = server(tmp_path, service_s=0.02, server_target_latency_ns=50_000_000)

    assert shape(invalidity.explain(log, one_sample_ns=2e7, other_cpu_share=0.37)) == [
        "# of # queries took longer than the bound of # ms; the rules allow # %. The #th percentile was # ms. "
        "It answered # samples/s and # arrived, so the queue kept growing. "
        "Set a target_qps below # or let `auto` find it.",
        "Other processes took #% of the processor time during the run, so the highest latencies say as much about them "
        "as about this system. Measure on an idle machine.",
    ]
    assert "longer than the bound of 50 ms; the rules allow 1 %" in invalidity.explain(log)[0]


def test_a_bound_below_the_time_of_one_sample_is_called_impossible(tmp_path):
    log = server(tmp_path, service_s=0.01, server_target_qps=20, server_target_latency_ns=2_000_000)

    (reason,) = invalidity.explain(log, one_sample_ns=10.1e6)
    assert reason.endswith(
        "The model takes 10.1 ms for a single sample, so no rate can meet this bound on this machine. Serve a faster "
        "executable or, in an open or internal run, raise latency_bound_ms."
    )


def test_a_server_with_too_few_queries_is_explained_although_loadgen_gives_no_reason(tmp_path):
    log = server(tmp_path, service_s=0.0, server_target_latency_ns=10_000_000_000)

    assert log.values["result_invalid_reason"] == ""
    assert shape(invalidity.explain(log)) == [
        "The run had # of the # queries that it takes to know the #th percentile with # % confidence (LoadGen's early "
        "stopping). Run longer: raise min_duration_s or min_queries."
    ]
    assert f"{log.values['result_query_count']} of the 459 queries" in invalidity.explain(log)[0]


def test_a_stream_with_too_few_queries_is_told_how_many_it_takes(tmp_path):
    log = run(
        tmp_path,
        "SingleStream",
        service_s=0.01,
        single_stream_expected_latency_ns=5_000_000,
        min_duration_ms=100,
        min_query_count=1,
    )

    (reason,) = invalidity.explain(log)
    queries = log.values["result_query_count"]
    assert reason == (
        f"The run had {queries} of the 64 queries that it takes to know the 90th percentile with 99 % confidence "
        "(LoadGen's early stopping). Run longer: raise min_duration_s or min_queries."
    )


def test_a_stream_faster_than_expected_is_one_reason_not_three(tmp_path):
    log = run(
        tmp_path,
        "SingleStream",
        service_s=0.0,
        single_stream_expected_latency_ns=10_000_000,
        min_duration_ms=600,
        min_query_count=1_000,
    )

    assert any("Ran out of generated queries" in error for error in log.errors) or log.errors == ()
    assert shape(invalidity.explain(log))[0] == (
        "The run ended before its # s were over: LoadGen generates all queries in advance. It generated # queries for "
        "an expected latency of # ms, and the mean was # ms. The warm-up was slower than the run, for example because "
        "another program used the machine; run again."
    )
    assert not any("logged an error" in reason for reason in invalidity.explain(log))


def test_an_offline_run_that_is_too_short_names_both_rates(tmp_path):
    log = run(tmp_path, "Offline", service_s=0.01, offline_expected_qps=100, min_duration_ms=1000, min_query_count=1)

    (reason,) = invalidity.explain(log)
    assert reason.startswith(
        "The run ended before its 1 s were over: LoadGen generates all queries in advance. It generated 110 samples "
        "for an expected 100 samples/s, and the system answered "
    )


@pytest.fixture
def ended() -> loadgen_log.LoadgenLog:
    return loadgen_log.LoadgenLog(values={"num_errors": 0}, errors=(), warnings=(), ended=True)


@pytest.mark.parametrize(
    ("queries", "late", "told"),
    [
        (
            1000,
            9,
            "1,000 of the 1,874 queries that it takes, with 9 late, to know the 99th percentile with 99 % confidence "
            "(LoadGen's early stopping). So many late ones are too close to the 1 % that the rules allow: lower "
            "target_qps, and keep the number of queries with min_queries.",
        ),
        (
            500,
            1,
            "500 of the 662 queries that it takes, with 1 late, to know the 99th percentile with 99 % confidence "
            "(LoadGen's early stopping). Run longer: raise min_duration_s or min_queries; with as large a share of "
            "late ones, 1,000 queries are enough.",
        ),
        (
            33,
            0,
            "33 of the 459 queries that it takes to know the 99th percentile with 99 % confidence (LoadGen's early "
            "stopping). Run longer: raise min_duration_s or min_queries.",
        ),
    ],
)
def test_a_server_in_time_but_not_surely_is_advised_by_its_late_queries(ended, queries, late, told):
    values = {
        "effective_scenario": "Server",
        "effective_target_latency_percentile": 0.99,
        "result_query_count": queries,
        "result_overlatency_query_count": late,
        "early_stopping_met": False,
        "result_perf_constraints_met": True,
        "result_validity": "INVALID",
        "result_invalid_reason": "",
    }

    assert invalidity.explain(dataclasses.replace(ended, values=values)) == (f"The run had {told}",)


@pytest.mark.parametrize(
    ("answered_per_s", "advice"),
    [
        (
            700.0,
            "It answered 700 samples/s and 1,000,000 arrived, so the queue kept growing. Set a target_qps below 700, "
            "or let `auto` find it.",
        ),
        (999_000.0, "Lower target_qps, or let `auto` find it."),
    ],
)
def test_a_run_that_was_ended_early_says_which_rate_it_answered(answered_per_s, advice):
    failure = "the run was ended after 0.5 s, when 41,000 queries exceeded the latency bound; at most 40,010 may"
    said = invalidity.hopeless(failure, bound_ns=15e6, target_qps=1e6, answered_per_s=answered_per_s)
    assert said == f"The{failure[3:]}. The bound is 15 ms. {advice}"


def test_errors_are_listed_once_each(ended):
    twice = "error_runtime: Attempted to complete a sample twice."
    log = dataclasses.replace(ended, errors=(twice, "error_runtime: another", twice))

    assert invalidity.explain(log) == (
        f"LoadGen logged an error 2 times: {twice}",
        "LoadGen logged an error: error_runtime: another",
    )


def test_a_log_that_was_cut_off_is_no_result(ended):
    log = dataclasses.replace(ended, values={"result_validity": "VALID"}, ended=False)

    assert invalidity.explain(log) == ("LoadGen did not finish, so its log is not a result.",)


def test_an_unknown_reason_of_loadgen_is_passed_on(ended):
    log = dataclasses.replace(ended, values={"result_validity": "INVALID", "result_invalid_reason": "moon phase"})

    assert invalidity.explain(log) == ("LoadGen says INVALID: moon phase.",)
