"""Tests of TensorBoard's files of a serving run, read by TensorBoard itself."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from tfperf import result
from tfperf.reporting import serving_board

VALID = result.InferResult(
    benchmark="resnet50_mini",
    division="open",
    valid=True,
    reasons=(),
    closed_eligible=False,
    closed_ineligible_because=("a mini | no MLPerf benchmark",),
    status="success",
    config={"scenario": {"server": {"target_qps": 120.0}}},
    environment={},
    scenario="Server",
    metric=result.Measurement(name="completed samples", value=118.5, unit="samples/s"),
    loadgen={"effective_target_latency_ns": 15_000_000},
    latency_ns={"p50": 2e6, "p99": 12.5e6},
    accuracy=result.Quality(metric="accuracy", value=0.875, target=0.75, reached=True),
    executable="xla-float32",
    batch_sizes=(1, 4),
    candidates=(result.Candidate(executable="xla-float32", status="chosen", latency_ns={"1": 1.5e6}),),
    batches={"1": 3, "4": 1},
)
CURVES = serving_board.ServingCurves(
    latency_ns=np.arange(10_000, 0, -1) * 1000,
    samples_per_s=np.array([100.0, 120.0, 110.0]),
    p99_ns=np.array([5e6, np.nan, 7e6]),
)


def accumulated(directory):
    accumulator = event_accumulator.EventAccumulator(str(directory), size_guidance={event_accumulator.TENSORS: 0})
    accumulator.Reload()
    return accumulator


def curves(directory):
    accumulator = accumulated(directory)
    tags = accumulator.Tags()["scalars"]
    return {tag: [(point.step, pytest.approx(point.value)) for point in accumulator.Scalars(tag)] for tag in tags}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    serving_board.write(directory, VALID, curves=CURVES)
    return directory


def test_single_numbers_have_their_unit_in_the_tag(run_dir):
    assert curves(run_dir) == {
        "tfperf/serving/latency_ms/p50": [(0, 2.0)],
        "tfperf/serving/latency_ms/p99": [(0, 12.5)],
        "tfperf/serving/metric_samples_per_s": [(0, 118.5)],
        "tfperf/serving/accuracy": [(0, 0.875)],
    }


def test_the_latency_rises_over_the_thousandths_of_the_queries(run_dir):
    points = curves(run_dir / "serving")["tfperf/serving/latency_ms/by_permille"]

    assert len(points) == 1000
    assert [points[permille] for permille in (0, 500, 990, 999)] == [
        (0, 0.001),
        (500, 5.001),
        (990, 9.901),
        (999, 9.991),
    ]


def test_the_run_over_time_leaves_out_seconds_that_say_nothing(run_dir):
    found = curves(run_dir / "serving")

    assert found["tfperf/serving/over_time/samples_per_s"] == [(0, 100), (1, 120), (2, 110)]
    assert found["tfperf/serving/over_time/p99_latency_ms"] == [(0, 5), (2, 7)]


def test_the_bound_is_a_line_in_the_charts_of_the_latencies(run_dir):
    assert curves(run_dir / "serving" / "bound") == {
        "tfperf/serving/latency_ms/by_permille": [(0, 15), (999, 15)],
        "tfperf/serving/over_time/p99_latency_ms": [(0, 15), (2, 15)],
    }


def test_the_histogram_is_that_of_latencies_below_the_highest_thousandth(run_dir):
    (event,) = accumulated(run_dir / "serving").Tensors("tfperf/serving/latency_ms")
    buckets = np.frombuffer(event.tensor_proto.tensor_content, np.float64).reshape(-1, 3)

    assert buckets[:, 2].sum() == 9990
    assert (buckets[0, 0], buckets[-1, 1]) == (0.001, 9.99)


def result_text(directory):
    (event,) = accumulated(directory).Tensors("tfperf/result")
    return event.tensor_proto.string_val[0].decode()


def test_the_result_is_a_text_with_all_tables(run_dir):
    assert result_text(run_dir) == (
        "**VALID open Server run of resnet50_mini, not verified by MLCommons**\n"
        "\n"
        "\n"
        "| measured |  |\n"
        "| --- | --- |\n"
        "| metric | 118.5 samples/s, completed samples |\n"
        "| latency bound | 99 % within 15 ms |\n"
        "| accuracy | 0.8750 (target 0.7500): reached |\n"
        "| executable | xla-float32, compiled for batches of 1, 4 |\n"
        "| division | open |\n"
        "| closed-eligible | no<br>- a mini \\| no MLPerf benchmark |\n"
        "\n"
        "| latency | LoadGen (ms) | SUT (ms) | 95 % interval (ms) |\n"
        "| --- | --- | --- | --- |\n"
        "| p50 | 2 | -- | -- |\n"
        "| p99 | 12.5 | -- | -- |\n"
        "\n"
        "| candidate | b1 (ms) | agreement | quality | memory (MiB) | status | because |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
        "| xla-float32 | 1.5 | -- | -- | -- | chosen |  |\n"
        "\n"
        "| batch size | batches | % |\n"
        "| --- | --- | --- |\n"
        "| 1 | 3 | 75.0 |\n"
        "| 4 | 1 | 25.0 |\n"
    )


def test_an_invalid_run_that_recorded_nothing_quotes_no_metric(tmp_path):
    failed = dataclasses.replace(VALID, valid=False, reasons=("the child was killed",), latency_ns={}, accuracy=None)
    serving_board.write(tmp_path, failed, curves=None)

    assert curves(tmp_path) == {}
    assert result_text(tmp_path).splitlines()[:4] == [
        "**INVALID open Server run of resnet50_mini, not verified by MLCommons**",
        "",
        "- the child was killed",
        "",
    ]


def test_a_run_without_an_answer_has_no_curves(tmp_path):
    nothing = serving_board.ServingCurves(latency_ns=np.zeros(0), samples_per_s=np.zeros(0), p99_ns=np.zeros(0))
    stream = dataclasses.replace(VALID, scenario="SingleStream", valid=False, latency_ns={}, accuracy=None)
    serving_board.write(tmp_path, stream, curves=nothing)

    assert curves(tmp_path / "serving") == {}
    assert not (tmp_path / "serving" / "bound").exists()


def test_a_latency_metric_is_milliseconds(tmp_path):
    metric = result.Measurement(name="90th percentile latency", value=4e6, unit="ns")
    serving_board.write(tmp_path, dataclasses.replace(VALID, scenario="SingleStream", metric=metric), curves=None)

    assert curves(tmp_path)["tfperf/serving/metric_ms"] == [(0, 4)]


def test_needs_no_tensorflow():
    program = "import sys; from tfperf.reporting import serving_board; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
