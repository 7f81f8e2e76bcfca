"""The numbers from a recording: executed sizes, padding, times, windows, drift and breakdown."""

import dataclasses

import numpy as np
import pytest

from tfperf import result
from tfperf.analysis import breakdown, serving, timeline
from tfperf.analysis.recorded import Recorded

MS = 1_000_000


def recorded(**columns: list[int]) -> Recorded:
    """The columns, with those left out empty; executions without padding and without lengths where nothing says so."""
    samples = columns.get("samples", [])
    zeros = [0] * len(samples)
    columns = {"batch_size": samples, "length": zeros, "samples_length": zeros, **columns}
    missing = dataclasses.MISSING
    fields = dataclasses.fields(Recorded)
    names = [field.name for field in fields if field.default is missing and field.default_factory is missing]
    return Recorded(**{name: np.array(columns.get(name, []), np.int64) for name in names})


def executions(samples: list[int], compute_ns: list[int], **columns: list[int]) -> Recorded:
    zeros = [0] * len(samples)
    columns = {"started_ns": zeros, **columns}
    return recorded(staging_ns=zeros, samples=samples, compute_ns=compute_ns, **columns)


# Three queries in two executions, of 1 sample in a batch of 1 and of 2 in a batch of 4: 10 ms of the model in 24 ms.
THREE = recorded(
    issued_ns=[0, 2 * MS, 14 * MS],
    latency_ns=[6 * MS, 23 * MS, 11 * MS],
    queue_ns=[1 * MS, 17 * MS, 5 * MS],
    started_ns=[1 * MS, 21 * MS],
    staging_ns=[1 * MS, 2 * MS],
    compute_ns=[6 * MS, 4 * MS],
    samples=[1, 2],
    batch_size=[1, 4],
)


def test_executions_are_counted_by_the_size_that_was_executed():
    run = executions([1, 3, 4, 2, 8, 3], [MS] * 6, batch_size=[1, 4, 4, 4, 16, 4])

    assert breakdown.executed_sizes(run) == {"1": 1, "4": 4, "16": 1}
    assert list(breakdown.executed_sizes(run)) == ["1", "4", "16"]


def test_an_executed_size_names_the_length_of_its_samples():
    run = executions([3, 8, 2], [MS] * 3, batch_size=[4, 8, 4], length=[384, 128, 128])

    assert breakdown.executed_sizes(run) == {"4x128": 1, "4x384": 1, "8x128": 1}


def test_three_samples_in_a_batch_of_four_are_a_batch_of_four_with_a_quarter_of_padding():
    run = executions([3], [MS], batch_size=[4])

    assert breakdown.executed_sizes(run) == {"4": 1}
    assert breakdown.padding(run) == 0.25


def test_padding_is_the_share_of_what_was_executed():
    assert breakdown.padding(executions([1, 3, 4], [MS] * 3, batch_size=[1, 4, 4])) == pytest.approx(1 / 9)
    assert breakdown.padding(recorded()) == 0


def test_padding_within_samples_counts_too():
    run = executions([1, 4], [MS] * 2, batch_size=[2, 4], length=[300, 100], samples_length=[300, 400])
    assert breakdown.padding(run) == pytest.approx(0.3)
    run = executions([1, 4], [MS] * 2, batch_size=[2, 4], length=[300, 100], samples_length=[160, 340])
    assert breakdown.padding(run) == pytest.approx(0.5)


def test_a_query_waits_and_is_computed():
    assert breakdown.breakdown(THREE) == breakdown.TimeBreakdown(
        latency_ns=40 / 3 * MS,
        queue_ns=23 / 3 * MS,
        rest_ns=pytest.approx(17 / 3 * MS),
        staging_ns=1.5 * MS,
        compute_ns=5 * MS,
        busy=10 / 24,
    )
    assert breakdown.breakdown(recorded()) is None


def test_the_rate_is_counted_where_executions_end_in_whole_windows():
    second = 1000 * MS
    run = recorded(
        started_ns=[0, 500 * MS, 1500 * MS, 2400 * MS],
        staging_ns=[0] * 4,
        compute_ns=[100 * MS, 400 * MS, 100 * MS, 100 * MS],
        samples=[4, 4, 2, 8],
    )

    assert timeline.rates(run).tolist() == [8, 2]
    assert timeline.rates(run, window_s=0.5).tolist() == [8, 8, 0, 4, 0]
    assert timeline.rates(recorded()).tolist() == []
    assert second == timeline.SECOND_NS


def test_latencies_of_each_window_have_a_percentile():
    issued_ns = np.arange(40) * 100 * MS
    run = recorded(issued_ns=issued_ns.tolist(), latency_ns=[MS] * 20 + [3 * MS] * 20, queue_ns=[0] * 40)

    assert timeline.latency_ns(run, percentile=50).tolist() == [MS, MS, 3 * MS]
    assert timeline.latency_ns(recorded(), percentile=50).tolist() == []


def test_a_window_without_an_answer_has_no_percentile():
    run = recorded(issued_ns=[0, 2500 * MS, 3500 * MS], latency_ns=[MS] * 3, queue_ns=[0] * 3)

    assert np.isnan(timeline.latency_ns(run, percentile=99)).tolist() == [False, True, False]


def test_a_model_that_throttles_drifts():
    found = timeline.drift(executions([1] * 90, [10 * MS] * 60 + [11 * MS] * 30))

    assert found == pytest.approx(0.1)
    assert timeline.drift_notice(found) == (
        "The model was 10.0% slower in the last third of the run than in the first: the machine throttled or "
        "another program started, so a longer run would report a lower rate."
    )


def test_larger_batches_or_longer_samples_late_in_a_run_are_no_drift():
    samples = [1] * 50 + [8] * 50
    assert timeline.drift(executions(samples, [MS * size for size in samples])) == pytest.approx(0)
    length = [128] * 50 + [384] * 50
    assert timeline.drift(executions([1] * 100, [MS * size for size in length], length=length)) == pytest.approx(0)


def test_small_drift_is_not_mentioned_and_few_executions_have_none():
    assert timeline.drift_notice(0.029) is None
    assert timeline.drift_notice(-0.5) is None
    assert timeline.drift_notice(None) is None
    assert timeline.drift(executions([1] * 29, [1] * 29)) is None


def test_the_harness_is_what_loadgen_saw_beyond_the_model():
    assert breakdown.harness_ns(THREE, loadgen_mean_ns=3.5 * MS) == pytest.approx(MS / 6)
    assert breakdown.scheduling_lag_ns(THREE, loadgen_mean_ns=15 * MS) == pytest.approx(5 / 3 * MS)
    assert breakdown.harness_ns(recorded(), loadgen_mean_ns=1) is None
    assert breakdown.scheduling_lag_ns(recorded(), loadgen_mean_ns=1) is None


def test_measurements_have_names_and_units():
    found = serving.measurements(
        THREE,
        scenario="Server",
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
        found = serving.measurements(THREE, scenario=scenario, loadgen_mean_ns=5.5 * MS)
        return {each.name for each in found} & {"queue", "harness overhead", "scheduling lag"}

    assert names("SingleStream") == {"queue", "harness overhead", "scheduling lag"}
    assert names("Server") == {"queue", "scheduling lag"}
    assert names("Offline") == set()


def test_a_run_that_recorded_nothing_has_little_to_tell():
    found = serving.measurements(recorded(), scenario="Offline", loadgen_mean_ns=None)

    assert found == (result.Measurement(name="padding", value=0.0, unit="%"),)


def test_a_reader_is_told_of_drift_and_of_other_processes():
    throttled = recorded(
        started_ns=list(range(90)), staging_ns=[0] * 90, compute_ns=[100] * 60 + [110] * 30, samples=[1] * 90
    )

    assert [note.split(":")[0] for note in serving.notes(throttled, other_cpu_share=0.2)] == [
        "The model was 10.0% slower in the last third of the run than in the first",
        "Other processes took 20% of the processor time during the run, so the highest latencies say as much about "
        "them as about this system. Measure on an idle machine.",
    ]
    assert serving.notes(THREE, other_cpu_share=0.05) == serving.notes(THREE, other_cpu_share=None) == ()


def test_a_level_that_shifts_in_a_long_run_is_dated():
    count = 6000  # of 10 ms each: about a minute
    compute_ns = [10 * MS] * 3500 + [11 * MS] * (count - 3500)
    started_ns = np.cumsum([0, *compute_ns[:-1]]).tolist()
    throttled = executions([1] * count, compute_ns, started_ns=started_ns)

    assert serving.notes(throttled, other_cpu_share=None) == ("The model became 10.0% slower at 35 s.",)
    steady = executions([1] * count, [10 * MS] * count, started_ns=[10 * MS * number for number in range(count)])
    assert serving.notes(steady, other_cpu_share=None) == ()


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="issued_ns, latency_ns, queue_ns must be flat and equally long"):
        recorded(issued_ns=[1])


def test_what_comes_from_a_part_of_the_rows_is_scaled_and_said():
    whole = recorded(
        started_ns=[number * 10_000_000 for number in range(400)],
        staging_ns=[0] * 400,
        compute_ns=[5_000_000] * 400,
        samples=[1, 4] * 200,
        issued_ns=[0] * 400,
        latency_ns=[7] * 400,
        queue_ns=[0] * 400,
    )
    columns = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
    spaced = Recorded(
        **{name: values[::4] if isinstance(values, np.ndarray) else values for name, values in columns.items()}
        | {
            "query_every": 4,
            "execution_every": 4,
            "queries": 400,
            "slowest_ns": np.array([7, 7]),
            "executed": np.array([(1, 0, 200), (4, 0, 200)]),
        }
    )
    assert breakdown.executed_sizes(spaced) == breakdown.executed_sizes(whole) == {"1": 200, "4": 200}
    assert breakdown.breakdown(spaced).busy == pytest.approx(breakdown.breakdown(whole).busy, rel=0.02)
    assert timeline.rates(spaced).sum() == 4 * timeline.rates(dataclasses.replace(spaced, execution_every=1)).sum()
    assert serving.spacing(whole) == ()
    assert serving.notes(spaced, other_cpu_share=None) == (
        "The recording holds 1 in 4 of the 400 queries and 1 in 4 of the executions: means, intervals and curves come "
        "from these. The table of batches counts all executions, and percentiles among the 2 slowest queries are "
        "exact.",
    )
    (lost,) = serving.spacing(dataclasses.replace(spaced, slowest_ns=np.zeros(0, np.int64)))
    assert lost == (
        "The recording holds 1 in 4 of the 400 queries and 1 in 4 of the executions, without those that were "
        "overwritten: means, intervals and curves come from these."
    )
