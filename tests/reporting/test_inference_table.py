"""Tests of inference results as plain text."""

import dataclasses
import pathlib

import pytest

from tfperf import result
from tfperf.reporting import inference_table

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
RUN_DIR = pathlib.Path("runs/20260102T030405Z-resnet50_mini-abcdef")

SERVER = result.InferResult(
    benchmark="resnet50_mini",
    division="open",
    valid=True,
    reasons=(),
    closed_eligible=False,
    closed_ineligible_because=("resnet50_mini is no MLPerf benchmark",),
    status="success",
    config={},
    environment={},
    scenario="Server",
    metric=result.Measurement(name="completed samples", value=1234.5, unit="samples/s"),
    loadgen={"effective_target_latency_ns": 15_000_000, "effective_target_latency_percentile": 0.99},
    latency_ns={"p50": 2.1e6, "p90": 5.25e6, "p95": 7.5e6, "p99": 12.345e6, "p99_9": 14.9e6},
    accuracy=result.Quality(metric="accuracy", value=0.90625, target=0.9, reached=True),
    executable="xla-bfloat16",
    batch_sizes=(1, 4, 16),
    candidates=(
        result.Candidate(
            executable="xla-bfloat16",
            status="chosen",
            latency_ns={"1": 1.5e6, "4": 3e6, "16": 9.5e6},
            agreement=0.998,
            quality=0.90625,
            memory_bytes=700 * 2**20,
        ),
        result.Candidate(
            executable="litert-int8",
            status="inaccurate",
            reason="accuracy 0.8500 is below the target 0.9000",
            latency_ns={"1": 1.1e6, "4": 2.9e6, "16": 10.5e6},
            agreement=0.871,
            quality=0.85,
            memory_bytes=420 * 2**20,
        ),
        result.Candidate(executable="xla-float16", status="unavailable", reason="the CPU has no float16"),
    ),
    percentiles=(
        result.Percentile(percentile=50.0, value_ns=2e6, low_ns=1.95e6, high_ns=2.05e6),
        result.Percentile(percentile=99.0, value_ns=12.2e6, low_ns=11.5e6, high_ns=13e6),
        result.Percentile(percentile=99.9, value_ns=14.8e6, low_ns=None, high_ns=None),
    ),
    batches={"16": 1200, "1": 80, "4": 300},
    search=(
        result.Probe(target_qps=2000, valid=False, p99_ns=None, duration_s=2.5, reason="LoadGen gave up. Lower it."),
        result.Probe(target_qps=1240, valid=True, p99_ns=12.3e6, duration_s=60, stage="full"),
    ),
    audits={"TEST01": "passed"},
    measurements=(
        result.Measurement(name="queue", value=3.25, unit="ms/query"),
        result.Measurement(name="compute", value=6.5, unit="ms/batch"),
        result.Measurement(name="scheduling lag", value=81.2, unit="us"),
        result.Measurement(name="other CPU", value=3.5, unit="%"),
        result.Measurement(name="retraces", value=0, unit=""),
    ),
    weights={"path": "runs/train/model.keras", "sha256": "0123abcd", "note": ""},
    notes=("The model was 4.0% slower in the last third of the run than in the first.",),
)

INVALID_STREAM = dataclasses.replace(
    SERVER,
    division="internal",
    valid=False,
    reasons=(
        "LoadGen logged an error 2 times: error_runtime: Attempted to complete a sample twice.",
        "accuracy 0.8500 missed the target 0.9000",
    ),
    status="invalid",
    scenario="SingleStream",
    metric=result.Measurement(name="90th percentile latency, early stopping estimate", value=2_345_678.0, unit="ns"),
    latency_ns={"p50": 2.1e6},
    accuracy=result.Quality(metric="accuracy", value=0.85, target=0.9, reached=False),
    executable="graph-float32",
    batch_sizes=(1,),
    candidates=(),
    percentiles=(result.Percentile(percentile=50.0, value_ns=2e6, low_ns=None, high_ns=None),),
    batches={"1": 41},
    search=(),
    audits={},
    measurements=(),
    weights={},
    notes=(),
)


@pytest.mark.parametrize(("outcome", "name"), [(SERVER, "valid_server"), (INVALID_STREAM, "invalid_single_stream")])
def test_shows_the_verdict_first_then_every_number_with_its_unit(outcome, name):
    expected = (GOLDEN / f"infer_table_{name}.txt").read_text(encoding="utf-8")

    assert inference_table.infer_table(outcome, run_dir=RUN_DIR) + "\n" == expected


def test_a_run_that_failed_early_says_so_and_shows_no_empty_table():
    failed = dataclasses.replace(
        INVALID_STREAM,
        reasons=("the model ran out of memory",),
        status="failed",
        metric=None,
        latency_ns={},
        accuracy=None,
        executable=None,
        batch_sizes=(),
        percentiles=(),
        batches={},
    )

    assert inference_table.infer_table(failed, run_dir=RUN_DIR) == (
        "INVALID internal SingleStream run of resnet50_mini, failed, not verified by MLCommons\n"
        "  - the model ran out of memory\n"
        "\n"
        "metric           --\n"
        "accuracy         -- (not measured)\n"
        "executable       --\n"
        "division         internal: not an MLPerf result, can't be submitted or packaged\n"
        "closed-eligible  no\n"
        "                 - resnet50_mini is no MLPerf benchmark\n"
        "run directory    runs/20260102T030405Z-resnet50_mini-abcdef"
    )


def test_sizes_with_lengths_are_in_the_order_of_their_numbers():
    candidate = result.Candidate(
        executable="graph-float32", status="chosen", latency_ns={"16x64": 9e6, "8x384": 8e6, "8x64": 3e6}
    )
    found = dataclasses.replace(
        SERVER, candidates=(candidate,), percentiles=(), latency_ns={}, search=(), batches={"16x64": 1, "8x384": 3}
    )

    (candidates, _), batches = inference_table.tables(found)

    assert candidates[1:3] == ["64 (ms/sample)", "384 (ms/sample)"]
    assert batches == (
        ["batch size", "length", "batches", "%"],
        [["8", "384", "3", "75.0"], ["16", "64", "1", "25.0"]],
    )


def test_latencies_of_a_valid_stream_are_milliseconds():
    metric = result.Measurement(name="90th percentile latency", value=4_812_345.0, unit="ns")
    stream = dataclasses.replace(SERVER, scenario="SingleStream", metric=metric)

    assert inference_table.infer_facts(stream)[0] == ("metric", "4.812 ms, 90th percentile latency")


def test_a_result_survives_its_file(tmp_path):
    result.write(tmp_path / "result.json", SERVER)

    assert result.read(tmp_path / "result.json") == SERVER


def test_candidates_of_several_lengths_have_a_column_for_each_length():
    row = result.Candidate(
        executable="graph-float32",
        status="chosen",
        latency_ns={"1x64": 2e6, "1x384": 9e6, "4x64": 6e6, "4x384": 40e6},
    )
    partial = dataclasses.replace(row, executable="xla-float32", status="measured", latency_ns={"1x64": 3e6})
    headers, rows = inference_table._candidates(dataclasses.replace(SERVER, candidates=(row, partial)))

    assert headers[:3] == ["candidate", "64 (ms/sample)", "384 (ms/sample)"]
    assert [each[:3] for each in rows] == [["graph-float32", "1.5", "9"], ["xla-float32", "3", "--"]]
