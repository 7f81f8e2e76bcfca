"""A benchmark of variable lengths that tfperf knows nothing of, measured in every scenario and every compiled form."""

from __future__ import annotations

import dataclasses
import pathlib

import keras
import numpy as np
import pytest

from tests.serving import ragged_benchmark
from tfperf import loadgen_log, result, spec
from tfperf.compliance import checker
from tfperf.inference import forms
from tfperf.inference.forms import machine
from tfperf.inference.weights import Weights
from tfperf.serving import measurement
from tfperf.workspace import Workspace

SCENARIOS = {
    "SingleStream": spec.SingleStream(),
    "MultiStream": spec.MultiStream(),
    "Server": spec.Server(target_qps=500.0),
    "Offline": spec.Offline(),
}
CPU = spec.Device(kind="cpu")
HERE = [form for form in forms.FORMS if machine.offered(form, CPU) is None]
SOURCE = ragged_benchmark.Sequences()


@pytest.fixture(scope="module")
def model() -> keras.Model:
    task = ragged_benchmark.BENCHMARK.inference
    assert task is not None
    return task.build_model(task.options)


@pytest.fixture(scope="module")
def weights(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return Weights(path=path)


def measured(
    scenario: str, form: str, *, weights: Weights, directory: pathlib.Path, **changes: object
) -> tuple[result.InferResult, pathlib.Path]:
    """A short measurement with its run directory."""
    run = spec.InferSpec(
        benchmark=ragged_benchmark.BENCHMARK.name,
        division=spec.Division.INTERNAL,
        scenario=SCENARIOS[scenario],
        data=spec.Data(source=SOURCE),
        model=ragged_benchmark.Options(),
        executable=form,  # type: ignore[arg-type]
        batch_sizes=(1, 4),
        min_duration_s=0.5,
        min_queries=700,  # the fewest that prove a 99th percentile are 459
    )
    run = dataclasses.replace(run, **changes)  # type: ignore[arg-type]
    workspace = Workspace(output_dir=directory, name="ragged", data_dir=None, device=CPU)
    return measurement.infer(run, ragged_benchmark.BENCHMARK, trained=weights, workspace=workspace)


def check(outcome: result.InferResult, run_dir: pathlib.Path, *, model: keras.Model, tolerance: float) -> None:
    """Asserts that a measurement is valid, its answers are the model's own and its executed sizes are the real ones."""
    assert (outcome.valid, outcome.reasons, outcome.status) == (True, (), "success")
    assert outcome.accuracy is not None and outcome.accuracy.reached
    answers = loadgen_log.answers(run_dir / "accuracy")
    assert sorted(answers) == list(range(SOURCE.total))
    for number, answer in answers.items():
        tokens = ragged_benchmark.tokens_of(SOURCE, number, vocabulary=ragged_benchmark.Options().vocabulary)
        expected = ragged_benchmark.expected_answer(model, tokens)
        np.testing.assert_allclose(np.frombuffer(answer, np.float32), expected, atol=tolerance, err_msg=f"{number}")
    rows = np.load(run_dir / "recording.npz")
    sizes, counts = np.unique(np.stack([rows["batch_size"], rows["length"]]), axis=1, return_counts=True)
    executed = {f"{batch}x{length}": count for (batch, length), count in zip(sizes.T, counts, strict=True)}
    assert outcome.batches == executed
    assert {int(length) for length in rows["length"]} <= set(ragged_benchmark.LENGTHS)
    assert {name for candidate in outcome.candidates for name in candidate.latency_ns} >= set(executed)
    tokens_executed = (rows["batch_size"] * rows["length"]).sum()
    padding = 1 - rows["samples_length"].sum() / tokens_executed
    if outcome.scenario == "SingleStream":  # one sample after the other, so the sum of any row is one sample's length
        assert {int(length) for length in rows["samples_length"]} <= {
            len(ragged_benchmark.tokens_of(SOURCE, number, vocabulary=ragged_benchmark.Options().vocabulary))
            for number in range(SOURCE.total)
        }
    shown = {measure.name: measure.value for measure in outcome.measurements}
    assert shown["padding"] == pytest.approx(100 * padding)
    (verdict,) = checker.check(run_dir)
    assert verdict.violations == ()


def test_samples_of_different_lengths_are_served_with_answers_of_their_length(
    model: keras.Model, weights: Weights, tmp_path: pathlib.Path
) -> None:
    outcome, run_dir = measured("Server", forms.REFERENCE, weights=weights, directory=tmp_path)
    check(outcome, run_dir, model=model, tolerance=ragged_benchmark.TOLERANCES["float32"])
    lengths = {name.partition("x")[2] for name in outcome.batches}
    assert lengths == {"8", "16", "32"}


@pytest.mark.slow
@pytest.mark.parametrize("form", HERE)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_form_serves_them_in_every_scenario(
    scenario: str, form: str, model: keras.Model, weights: Weights, tmp_path: pathlib.Path
) -> None:
    outcome, run_dir = measured(scenario, form, weights=weights, directory=tmp_path)
    check(outcome, run_dir, model=model, tolerance=ragged_benchmark.TOLERANCES[form.partition("-")[2]])
