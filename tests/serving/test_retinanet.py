"""A small RetinaNet under LoadGen: the seeds of its last round, rows of seven numbers, and their mAP."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from tests.benchmarks.detection.test_answers import by_the_script
from tests.serving import tiny_retinanet
from tfperf import loadgen_log, spec
from tfperf.benchmarks.detection.data.sources import DrawnScenes
from tfperf.compliance import rounds
from tfperf.inference.weights import Weights
from tfperf.serving import measurement
from tfperf.workspace import Workspace

ROUND = next(each for each in rounds.ROUNDS if each.name == "v5.1")


@pytest.mark.slow
def test_a_retinanet_is_served_with_the_seeds_of_its_last_round(tmp_path: pathlib.Path) -> None:
    task = tiny_retinanet.BENCHMARK.inference
    assert task is not None
    model = task.build_model(task.options)
    predicted = model.get_layer("class_predicted")
    kernel, bias = predicted.get_weights()
    chance = np.random.default_rng(0)
    predicted.set_weights([chance.normal(0, 1, kernel.shape), np.full_like(bias, -2)])  # some boxes have a score
    model.save(tmp_path / "model.keras")
    run = spec.InferSpec(
        benchmark=tiny_retinanet.BENCHMARK.name,
        division=spec.Division.INTERNAL,
        scenario=spec.Offline(),
        data=spec.Data(source=DrawnScenes()),
        model=task.options,
        executable="graph-float32",
        batch_sizes=(1, 16),
        min_duration_s=1.0,
    )
    cpu = spec.Device(kind="cpu")
    workspace = Workspace(output_dir=tmp_path, name="retinanet", data_dir=None, device=cpu)
    outcome, run_dir = measurement.infer(
        run, tiny_retinanet.BENCHMARK, trained=Weights(path=tmp_path / "model.keras"), workspace=workspace
    )
    assert (outcome.valid, outcome.reasons) == (True, ())
    assert outcome.accuracy is not None
    logged = loadgen_log.read(run_dir / "performance").values
    assert tuple(logged[f"effective_{name}_rng_seed"] for name in ("qsl", "sample_index", "schedule")) == ROUND.seeds
    responses = loadgen_log.answers(run_dir / "accuracy")
    rows = np.frombuffer(b"".join(responses.values()), "<f4").reshape(-1, 7)
    assert len(rows) > len(responses) / 10
    assert by_the_script(run_dir / "accuracy") == pytest.approx(outcome.accuracy.value, abs=1e-6)
