"""The scenarios of LoadGen are sent by LoadGen itself, wherever the model can be sent to its process."""

import pathlib

import numpy as np
import pytest

import tfperf
from tfperf import result, spec
from tfperf.compliance import checker
from tfperf.evaluation import official
from tfperf.evaluation.evaluate import evaluate


def classifier():
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def images() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.random((40, 8, 8, 3), "float32"), random.integers(0, 3, 40)


def run(folder: pathlib.Path, *phases: spec.Phase, model=None, data=None, **changes) -> result.EvaluateResult:
    chosen = spec.EvaluateSpec(phases=phases, **changes)
    where = tfperf.Workspace(output_dir=folder / "runs", name="test")
    return evaluate(model or classifier(), images() if data is None else data, config=chosen, workspace=where).result


def test_server_compiles_powers_of_two_since_waiting_samples_are_answered_together() -> None:
    server = spec.ServerLoad(target_qps=1.0, latency_bound_ms=1.0)
    assert official.batch_sizes(server, batch_size=6) == (1, 2, 4, 6)
    assert official.batch_sizes(spec.OfflineLoad(), batch_size=6) == (6,)
    assert official.batch_sizes(spec.MultiStreamLoad(samples_per_query=4), batch_size=6) == (4,)
    assert not official.is_official(spec.SingleStreamLoad(), batch_size=6)
    assert not official.is_official(spec.Concurrency(streams=(1,)), batch_size=1)


def test_loadgen_sends_what_can_be_sent_and_the_result_says_who_measured(tmp_path: pathlib.Path) -> None:
    phases = (spec.WarmUp(iterations=2), spec.SingleStreamLoad(min_duration_s=0.5))
    found = run(tmp_path, *phases, spec.Concurrency(streams=(1,), duration_s=0.2), save_requests=True)
    assert found.valid, found.reasons
    single, streams = found.phases
    assert (single.issuer, streams.issuer) == ("loadgen", "tfperf")
    assert single.metric is not None and single.metric.name == "early_stopping_latency_ss"
    assert single.latency_ns(90.0) and single.requests >= 64
    assert single.duration_s >= 0.45
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert (run_dir / "loadgen" / "01-singlestream" / "mlperf_log_summary.txt").exists()
    verdicts = {verdict.kind: verdict.structure for verdict in checker.check(run_dir)}
    assert verdicts == {"evaluate": "ok", "loadgen": "ok"}
    lines = [len(path.read_text().splitlines()) - 1 for path in sorted((run_dir / "requests").glob("*.csv"))]
    assert lines == [single.requests, streams.requests]


def test_a_function_is_sent_by_tfperfs_own_issuer_which_says_why(tmp_path: pathlib.Path) -> None:
    found = run(
        tmp_path,
        spec.SingleStreamLoad(min_duration_s=0.1),
        model=lambda x: x,
        data=np.ones((4, 2), "float32"),
    )
    (single,) = found.phases
    assert single.issuer == "tfperf"
    assert "a function of Python stays in the process that it was made in" in single.notes[0]


@pytest.mark.slow
def test_all_scenarios_run_under_loadgen(tmp_path: pathlib.Path) -> None:
    found = run(
        tmp_path,
        spec.MultiStreamLoad(samples_per_query=4, min_duration_s=0.3),
        spec.ServerLoad(target_qps=500.0, latency_bound_ms=50.0, min_duration_s=1.0),
        spec.OfflineLoad(min_duration_s=0.5),
        spec.Sustained(share_of_peak=0.01, duration_s=0.5),
        executable=("graph-float32",),
        batch_size=(4,),
    )
    assert [phase.issuer for phase in found.phases] == ["loadgen", "loadgen", "loadgen", "tfperf"]
    multi, server, offline, sustained = found.phases
    assert multi.samples == 4 * multi.requests
    assert server.offered_per_s == 500
    assert offline.metric is not None and offline.metric.unit == "samples/s"
    peak = max(multi.samples_per_s, server.samples_per_s, offline.samples_per_s)
    assert sustained.offered_per_s == pytest.approx(0.01 * peak / 4)
    assert all(phase.valid for phase in (multi, server, offline)), found.reasons
    assert all("limited by the issuer" in reason for reason in sustained.reasons)  # a neighbour may hold it up


@pytest.mark.slow
def test_an_answer_with_nan_fails_the_run_under_loadgen(tmp_path: pathlib.Path) -> None:
    x, y = images()
    x[7, 0, 0, 0] = np.nan
    found = run(tmp_path, spec.SingleStreamLoad(min_duration_s=0.5), data=(x, y))
    assert not found.valid
    assert any("1 of 40 answers are not finite" in reason for reason in found.reasons)
    assert found.phases[0].status == "failed"
    assert "the answer to sample 7 holds NaN" in found.phases[0].reasons[0]
