import pytest

from tfperf.errors import UsageError
from tfperf.inference import generation
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ScenarioName, Settings

GB = 10**9


def settings(scenario: ScenarioName, **changes: object) -> Settings:
    values = {"mode": "performance", "min_duration_s": 600.0, "performance_samples": 1024, **changes}
    return Settings(loadgen_model="resnet50", scenario=scenario, **values)  # type: ignore[arg-type]


def test_expects_half_the_lowest_time_of_the_warm_up() -> None:
    for scenario in ("SingleStream", "MultiStream"):
        fitted, notes = generation.fitted(
            settings(scenario), execution_ns={Bucket(1): 8e6, Bucket(2): 9e6}, available_bytes=16 * GB
        )
        assert (fitted.expected_latency_ns, notes) == (4e6, ())


def test_expects_a_tenth_more_than_the_best_rate_of_the_warm_up() -> None:
    fitted, notes = generation.fitted(
        settings("Offline"), execution_ns={Bucket(1): 1e7, Bucket(8): 2e7}, available_bytes=16 * GB
    )
    assert fitted.expected_qps == pytest.approx(1.1 * 400, rel=1e-3)
    assert notes == ()


def test_expects_no_more_than_half_again_of_what_the_sut_was_seen_to_answer() -> None:
    fitted, notes = generation.fitted(
        settings("Offline"), execution_ns={Bucket(8): 1000.0}, available_bytes=None, sut_rate=100_000.0
    )
    assert fitted.expected_qps == 150_000
    assert notes == (
        "the model alone would answer up to 1,760,000 samples/s, but tfperf around it answered 100,000 samples/s in a "
        "test before the run: a run of more than 165,000 samples/s ends before min_duration_s and is INVALID",
    )


def test_weighs_lengths_by_their_share_of_the_samples() -> None:
    execution_ns = {Bucket(8, 16): 8e6, Bucket(1, 16): 2e6, Bucket(1, 64): 9e6}
    assert generation.offline_samples_per_s(execution_ns, {16: 0.75, 64: 0.25}) == pytest.approx(1e9 / 3e6)
    assert generation.offline_samples_per_s(execution_ns) == pytest.approx(1e9 / 5e6)
    fitted, _ = generation.fitted(
        settings("Offline"), execution_ns=execution_ns, length_shares={16: 0.75, 64: 0.25}, available_bytes=None
    )
    assert fitted.expected_qps == pytest.approx(1.1e9 / 3e6, rel=1e-3)
    single, _ = generation.fitted(settings("SingleStream"), execution_ns=execution_ns, available_bytes=None)
    assert single.expected_latency_ns == 1e6


def test_a_rehearsal_that_was_a_little_slower_changes_nothing() -> None:
    given = settings("Offline")
    fitted = generation.fitted(
        given, execution_ns={Bucket(1): 1e7, Bucket(8): 2e7}, available_bytes=None, sut_rate=200.0
    )
    assert fitted == generation.fitted(given, execution_ns={Bucket(1): 1e7, Bucket(8): 2e7}, available_bytes=None)


def test_keeps_a_given_expectation() -> None:
    given = settings("SingleStream", expected_latency_ns=3e6)
    assert generation.fitted(given, execution_ns={Bucket(1): 8e6}, available_bytes=16 * GB) == (given, ())


@pytest.mark.parametrize(
    ("scenario", "note"),
    [
        (
            "SingleStream",
            "LoadGen's queries may take 0.5 GB of memory, 25% of what is available: a mean latency of less than 444 us "
            "uses them up and is INVALID",
        ),
        (
            "MultiStream",
            "LoadGen's queries may take 0.5 GB of memory, 25% of what is available: a mean latency of less than 780 us "
            "uses them up and is INVALID",
        ),
        (
            "Offline",
            "LoadGen's queries may take 0.5 GB of memory, 25% of what is available: a rate of more than 1,530 "
            "samples/s ends before min_duration_s and is INVALID",
        ),
    ],
)
def test_makes_no_more_queries_than_memory_holds_and_says_so(scenario: ScenarioName, note: str) -> None:
    fitted, notes = generation.fitted(settings(scenario), execution_ns={Bucket(1): 1e4}, available_bytes=2 * GB)
    assert notes == (note,)
    assert generation.bytes_needed(fitted) == pytest.approx(0.5 * GB)


def test_a_server_rate_beyond_memory_says_what_it_takes() -> None:
    with pytest.raises(UsageError) as error:
        generation.check_memory(settings("Server", target_qps=50_000.0), available_bytes=16 * GB)
    assert str(error.value) == (
        "The rate needs too much memory: LoadGen generates all queries of a run in advance, and 50000 queries/s "
        "for 600 s take 11.1 GB; 16.0 GB are available, of which queries may take 25%. Set a lower target_qps or a "
        "shorter min_duration_s."
    )


@pytest.mark.parametrize(("scenario", "needed"), [("Offline", "495.0"), ("SingleStream", "370.0"), ("Server", "370.0")])
def test_a_number_of_queries_beyond_memory_says_what_it_takes(scenario: ScenarioName, needed: str) -> None:
    with pytest.raises(UsageError) as error:
        generation.check_memory(settings(scenario, min_queries=10**9), available_bytes=16 * GB)
    assert str(error.value) == (
        "The queries need too much memory: LoadGen generates all queries of a run in advance, and "
        f"min_queries=1000000000 take {needed} GB; 16.0 GB are available, of which queries may take 25%. Set a "
        "lower min_queries."
    )


def test_a_server_rate_within_memory_is_left_as_it_is() -> None:
    given = settings("Server", target_qps=1000.0)
    assert generation.fitted(given, execution_ns={Bucket(1): 1e6}, available_bytes=16 * GB) == (given, ())
    generation.check_memory(settings("Server", target_qps=1e9), available_bytes=None)


def test_accuracy_runs_make_a_query_for_each_sample_only() -> None:
    assert generation.bytes_needed(settings("Server", mode="accuracy", target_qps=1e9)) == 0


def test_a_slow_warm_up_leaves_room_for_a_run_five_times_as_fast() -> None:
    given = Settings(
        loadgen_model="resnet50",
        scenario="MultiStream",
        mode="performance",
        min_duration_s=600.0,
        performance_samples=1024,
    )
    fitted, _ = generation.fitted(given, execution_ns={Bucket(8): 1e9}, available_bytes=10**10)
    assert fitted.expected_latency_ns == 1e8
    quick, _ = generation.fitted(given, execution_ns={Bucket(8): 1e6}, available_bytes=10**10)
    assert quick.expected_latency_ns == 5e5
