import ctypes
import pathlib

import mlperf_loadgen
import numpy as np
import pytest

from tfperf.benchmarks.benchmark import Ragged
from tfperf.inference import conf, loadgen
from tfperf.inference.job import ScenarioName, Settings


def settings(scenario: ScenarioName, **changes: object) -> Settings:
    values = {
        "mode": "performance",
        "min_duration_s": 60.0,
        "performance_samples": 16,
        "target_qps": 250.0 if scenario == "Server" else None,
        "expected_latency_ns": 2_500_000.0 if scenario in ("SingleStream", "MultiStream") else None,
        "expected_qps": 12345.678 if scenario == "Offline" else None,
        **changes,
    }
    return Settings(loadgen_model="resnet50", scenario=scenario, **values)  # type: ignore[arg-type]


def test_settings_are_mlperf_conf_with_ours_over_it() -> None:
    test = loadgen.test_settings(settings("Server"))
    assert (test.min_duration_ms, test.server_target_qps) == (60_000, 250.0)
    assert test.performance_sample_count_override == 16  # mlperf.conf says 1024
    assert test.server_target_latency_ns == 15_000_000
    assert test.qsl_rng_seed > 0
    assert loadgen.test_settings(settings("Server", latency_bound_ns=2_000_000)).server_target_latency_ns == 2_000_000
    assert loadgen.test_settings(settings("MultiStream")).min_query_count == 662


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_a_user_conf_says_what_the_attributes_say(scenario: ScenarioName, tmp_path: pathlib.Path) -> None:
    given = settings(scenario, min_queries=99, latency_bound_ns=20_000_000 if scenario == "Server" else None)
    path = tmp_path / "user.conf"
    path.write_text(conf.user_conf(given))
    read = mlperf_loadgen.TestSettings()
    assert read.FromConfig(str(path), "resnet50", scenario, 1) == 0
    ours = conf.attributes(given)
    assert len(ours) >= 4
    assert {name: getattr(read, name) for name in ours} == pytest.approx(ours)


def test_a_user_conf_is_what_a_submission_holds() -> None:
    assert conf.user_conf(settings("Server", latency_bound_ns=20_000_000)) == (
        "resnet50.Server.min_duration = 60000\n"
        "resnet50.Server.performance_sample_count_override = 16\n"
        "resnet50.Server.target_latency = 20.0\n"
        "resnet50.Server.target_qps = 250.0\n"
    )


@pytest.mark.parametrize(
    "responses",
    [
        pytest.param(np.zeros((2, 1), np.float32), id="too few rows"),
        pytest.param(np.zeros((3, 4), np.float32)[:, :1], id="not contiguous"),
    ],
)
def test_responses_that_are_not_a_row_for_each_sample_are_refused(responses: np.ndarray) -> None:
    with pytest.raises(ValueError, match="3 samples must be answered with 3 rows, C-contiguous; got shape"):
        loadgen.complete([1, 2, 3], responses)


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """What LoadGen gets, id by id, and that it gets all of a batch at once."""
    answers: list[tuple[int, bytes]] = []

    def take(responses: list[tuple[int, int, int]]) -> None:
        assert not answers
        answers.extend((id_, ctypes.string_at(address, size) if address else b"") for id_, address, size in responses)
        assert all(bool(address) == bool(size) for _, address, size in responses)

    monkeypatch.setattr(loadgen, "QuerySampleResponse", lambda id_, address, size: (id_, address, size))
    monkeypatch.setattr(loadgen, "QuerySamplesComplete", take)
    return answers


def test_rows_are_answered_one_by_one(completed: list[tuple[int, bytes]]) -> None:
    loadgen.complete([7, 5], np.array([[1], [2]], np.int16))
    assert completed == [(7, b"\1\0"), (5, b"\2\0")]


def test_responses_of_different_sizes_are_cut_from_one_buffer(completed: list[tuple[int, bytes]]) -> None:
    loadgen.complete([7, 5, 6], Ragged(np.arange(6, dtype=np.uint8), np.array([1, 4, 4, 6])))
    assert completed == [(7, b"\1\2\3"), (5, b""), (6, b"\4\5")]


@pytest.mark.parametrize(
    "responses",
    [
        pytest.param(None, id="none"),
        pytest.param(np.zeros((2, 0), np.float32), id="rows of nothing"),
        pytest.param(Ragged(np.zeros(0, np.float32), np.zeros(3, np.int64)), id="ragged"),
    ],
)
def test_empty_answers_have_no_address(
    responses: np.ndarray | Ragged | None, completed: list[tuple[int, bytes]]
) -> None:
    loadgen.complete([1, 2], responses)
    assert completed == [(1, b""), (2, b"")]


def test_a_read_only_buffer_is_answered_too(completed: list[tuple[int, bytes]]) -> None:
    responses = np.array([[1]], np.uint8)
    responses.flags.writeable = False
    loadgen.complete([3], responses)
    assert completed == [(3, b"\1")]


@pytest.mark.parametrize(
    "offsets",
    [pytest.param([0, 2], id="too few"), pytest.param([0, 2, 1], id="falling"), pytest.param([0, 2, 9], id="far")],
)
def test_offsets_that_are_not_one_response_for_each_sample_are_refused(offsets: list[int]) -> None:
    with pytest.raises(
        ValueError, match="2 samples must be answered with 3 ascending offsets into a buffer of 4 bytes; got"
    ):
        loadgen.complete([1, 2], Ragged(np.zeros(4, np.uint8), np.array(offsets)))
