"""Tests of what a recording says: batches, split, windows, drift, overhead."""

import dataclasses

import numpy as np
import pytest

from tfperf import result
from tfperf.analysis import batches, drift, overhead, serving, split, windows
from tfperf.analysis.recorded import Recorded

MS = 1_000_000


def recorded(**columns: list[int]) -> Recorded:
    names = (field.name for field in dataclasses.fields(Recorded))
    return Recorded(**{name: np.array(columns.get(name, []), np.int64) for name in names})


# Three queries in two executions, of 1 and of 2 samples, 10 ms of the model in 24 ms.
THREE = recorded(
    issued_ns=[0, 2 * MS, 14 * MS],
    latency_ns=[6 * MS, 23 * MS, 11 * MS],
    queue_ns=[1 * MS, 17 * MS, 5 * MS],
    started_ns=[1 * MS, 21 * MS],
    staging_ns=[1 * MS, 2 * MS],
    compute_ns=[6 * MS, 4 * MS],
    samples=[1, 2],
)


def test_the_histogram_counts_executions_by_the_batch_size_that_holds_them():
    assert batches.histogram(np.array([1, 3, 4, 2, 8, 5]), batch_sizes=(1, 4, 8, 16)) == {"1": 1, "4": 3, "8": 2}


def test_padding_is_what_was_executed_for_nothing():
    assert batches.padding(np.array([1, 3, 4]), batch_sizes=(1, 4)) == pytest.approx(1 / 9)
    assert batches.padding(np.zeros(0, np.int64), batch_sizes=(1, 4)) == 0


def test_more_samples_than_the_largest_batch_size_are_an_error():
    with pytest.raises(ValueError, match=r"at most the largest of batch_sizes=\(1, 4\), got 5\."):
        batches.histogram(np.array([5]), batch_sizes=(1, 4))


def test_a_query_waits_and_is_computed():
    assert split.split(THREE) == split.Split(
        latency_ns=40 / 3 * MS,
        queue_ns=23 / 3 * MS,
        rest_ns=pytest.approx(17 / 3 * MS),
        staging_ns=1.5 * MS,
        compute_ns=5 * MS,
        busy=10 / 24,
    )
    assert split.split(recorded()) is None


def test_the_rate_is_counted_where_executions_end_in_whole_windows():
    second = 1000 * MS
    run = recorded(
        started_ns=[0, 500 * MS, 1500 * MS, 2400 * MS],
        staging_ns=[0] * 4,
        compute_ns=[100 * MS, 400 * MS, 100 * MS, 100 * MS],
        samples=[4, 4, 2, 8],
    )

    assert windows.rates(run).tolist() == [8, 2]
    assert windows.rates(run, window_s=0.5).tolist() == [8, 8, 0, 4, 0]
    assert windows.rates(recorded()).tolist() == []
    assert second == windows.SECOND_NS


def test_latencies_of_each_window_have_a_percentile():
    issued_ns = np.arange(40) * 100 * MS
    run = recorded(issued_ns=issued_ns.tolist(), latency_ns=[MS] * 20 + [3 * MS] * 20, queue_ns=[0] * 40)

    assert windows.latency_ns(run, percentile=50).tolist() == [MS, MS, 3 * MS]
    assert windows.latency_ns(recorded(), percentile=50).tolist() == []


def test_a_window_without_an_answer_has_no_percentile():
    run = recorded(issued_ns=[0, 2500 * MS, 3500 * MS], latency_ns=[MS] * 3, queue_ns=[0] * 3)

    assert np.isnan(windows.latency_ns(run, percentile=99)).tolist() == [False, True, False]


def test_a_model_that_throttles_drifts():
    compute_ns = np.concatenate([np.full(60, 10 * MS), np.full(30, 11 * MS)])

    found = drift.drift(compute_ns, np.ones(90, np.int64))
    assert found == pytest.approx(0.1)
    assert drift.notice(found) == (
        "The model was 10.0% slower in the last third of the run than in the first: the machine throttled or "
        "something else began to run, so a longer run would have measured less."
    )


def test_larger_batches_late_in_a_run_are_no_drift():
    samples = np.concatenate([np.ones(50, np.int64), np.full(50, 8, np.int64)])

    assert drift.drift(samples * MS, samples) == pytest.approx(0)


def test_small_drift_is_not_worth_a_word_and_few_executions_tell_none():
    assert drift.notice(0.029) is None
    assert drift.notice(-0.5) is None
    assert drift.notice(None) is None
    assert drift.drift(np.ones(29), np.ones(29)) is None


def test_the_harness_is_what_loadgen_saw_beyond_the_model():
    assert overhead.harness_ns(THREE, loadgen_mean_ns=3.5 * MS) == pytest.approx(MS / 6)
    assert overhead.scheduling_lag_ns(THREE, loadgen_mean_ns=15 * MS) == pytest.approx(5 / 3 * MS)
    assert overhead.harness_ns(recorded(), loadgen_mean_ns=1) is None
    assert overhead.scheduling_lag_ns(recorded(), loadgen_mean_ns=1) is None


def test_measurements_have_names_and_units():
    found = serving.measurements(
        THREE,
        scenario="Server",
        batch_sizes=(1, 4),
        loadgen_mean_ns=15 * MS,
        memory_start_bytes=2**20,
        memory_end_bytes=3 * 2**20,
        other_cpu_share=0.25,
    )

    assert [(each.name, round(each.value, 3), each.unit) for each in found] == [
        ("queue", 7.667, "ms/query"),
        ("staging", 1.5, "ms/batch"),
        ("compute", 5.0, "ms/batch"),
        ("model busy", 41.667, "%"),
        ("padding", 40.0, "%"),
        ("scheduling lag", 1666.667, "us"),
        ("memory growth", 2.0, "MiB"),
        ("other CPU", 25.0, "%"),
    ]


def test_only_where_one_query_is_served_at_a_time_is_there_an_overhead_and_in_offline_no_queue():
    def names(scenario: str) -> set[str]:
        found = serving.measurements(THREE, scenario=scenario, batch_sizes=(1, 4), loadgen_mean_ns=5.5 * MS)
        return {each.name for each in found} & {"queue", "harness overhead", "scheduling lag"}

    assert names("SingleStream") == {"queue", "harness overhead", "scheduling lag"}
    assert names("Server") == {"queue", "scheduling lag"}
    assert names("Offline") == set()


def test_a_run_that_recorded_nothing_has_little_to_tell():
    found = serving.measurements(recorded(), scenario="Offline", batch_sizes=(1,), loadgen_mean_ns=None)

    assert found == (result.Measurement(name="padding", value=0.0, unit="%"),)


def test_a_reader_is_told_of_drift_and_of_other_processes():
    throttled = recorded(
        started_ns=list(range(90)), staging_ns=[0] * 90, compute_ns=[100] * 60 + [110] * 30, samples=[1] * 90
    )

    assert [note.split(":")[0] for note in serving.notes(throttled, other_cpu_share=0.2)] == [
        "The model was 10.0% slower in the last third of the run than in the first",
        "Other processes took 20% of the processors meanwhile",
    ]
    assert serving.notes(THREE, other_cpu_share=0.05) == serving.notes(THREE, other_cpu_share=None) == ()


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="issued_ns, latency_ns, queue_ns must be as long as each other and flat"):
        recorded(issued_ns=[1])
