"""A trial that serves has LoadGen's own metric as its objective, and none unless the run is valid."""

import json
import pathlib
import zipfile

import pytest

from tfperf import benchmarks, config, result, spec
from tfperf.errors import UsageError
from tfperf.inference.weights import Weights
from tfperf.tuning import project, search_space, served_model, serving_trial, workload
from tfperf.tuning.project import Project
from tfperf.tuning.trial import Trial
from tfperf.workspace import Workspace

TASK = benchmarks.task("resnet50_mini", "infer")

THROUGHPUT = result.Measurement(name="result_samples_per_second", value=700.5, unit="samples/s")
LATENCY = result.Measurement(name="early_stopping_latency_ss", value=2_500_000.0, unit="ns")


def outcome(**changes: object) -> result.InferResult:
    fields: dict[str, object] = {
        "benchmark": "resnet50_mini",
        "division": "internal",
        "valid": True,
        "reasons": (),
        "closed_eligible": False,
        "closed_ineligible_because": (),
        "status": "success",
        "config": {},
        "environment": {},
        "scenario": "Offline",
        "metric": THROUGHPUT,
        "loadgen": {},
        "latency_ns": {},
        "accuracy": result.Quality(metric="accuracy", value=0.875, target=0.8, reached=True),
        "executable": "litert-float32",
    }
    return result.InferResult(**{**fields, **changes})


@pytest.mark.parametrize(("metric", "objective"), [(THROUGHPUT, 700.5), (LATENCY, 2.5), (None, None)])
def test_the_objective_is_loadgens_metric_a_latency_in_ms(
    metric: result.Measurement | None, objective: float | None
) -> None:
    ended = serving_trial.after(Trial(name="3", values={"threads": 2}), outcome(metric=metric))
    assert ended == Trial(
        name="3",
        values={"threads": 2},
        status="completed",
        objective=objective,
        score=objective,
        quality=0.875,
        executable="litert-float32",
    )


@pytest.mark.parametrize(
    ("status", "kept"),
    [("invalid", "completed"), ("success", "completed"), ("failed", "failed"), ("incomplete", "failed")],
)
def test_what_is_not_valid_has_no_objective_and_says_why(status: str, kept: str) -> None:
    ended = serving_trial.after(
        Trial(name="3", values={}), outcome(valid=False, status=status, reasons=("too slow", "too wrong"))
    )
    assert (ended.status, ended.objective, ended.score) == (kept, None, None)
    assert ended.reason == "too slow; too wrong"


@pytest.fixture
def weights(tmp_path: pathlib.Path) -> Weights:
    """Files that nobody opens beyond their outside."""
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    return Weights(path=path, trusted=True)


@pytest.fixture
def opened(tmp_path: pathlib.Path, weights: Weights) -> Project:
    loaded = config.load_sweep("sweep-resnet50-mini-offline", task_of=benchmarks.task)
    workspace = Workspace(
        output_dir=tmp_path, name="mine", data_dir=pathlib.Path("data"), device=spec.Device(kind="cpu")
    )
    made = project.open_or_make(loaded, workspace)
    served_model.bind(made.path, weights, TASK)
    return made


def test_a_trial_is_an_internal_measurement_of_the_model_that_all_trials_serve(
    opened: Project, weights: Weights, tmp_path: pathlib.Path
) -> None:
    chosen = search_space.parameters(opened.spec.space).values
    plan = workload.of(opened.spec.base).trial(opened, "0", chosen)
    assert (plan.trial.seed, plan.trial.max_epochs) == (None, None)
    for name, text in plan.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert serving_trial.command(tmp_path) == (
        *("infer", f"--config={tmp_path / serving_trial.SPEC}", "--format=json", f"--output_dir={tmp_path}"),
        *(f"--weights={weights.path}", "--trust_model", "--data_dir=data", "--device=cpu"),
    )
    assert '"division": "internal"' in (tmp_path / serving_trial.JOB).read_text(encoding="utf-8")
    loaded = config.load_inference(str(tmp_path / serving_trial.SPEC), task_of=benchmarks.task)
    assert loaded.division is spec.Division.INTERNAL
    assert {"batch_sizes": list(loaded.batch_sizes or ()), "instances": loaded.instances} == plan.trial.values


def test_a_sweep_continues_only_with_the_same_model(opened: Project, weights: Weights, tmp_path: pathlib.Path) -> None:
    moved = weights.path.rename(tmp_path / "moved.keras")
    served_model.bind(opened.path, Weights(path=moved), TASK)
    assert served_model.read(opened.path) == Weights(path=moved)
    assert json.loads((opened.path / served_model.NAME).read_text(encoding="utf-8"))["division"] == "internal"
    with zipfile.ZipFile(moved, "a") as archive:
        archive.writestr("more", "")
    with pytest.raises(UsageError, match=r"moved\.keras is not the model that .*mine started with"):
        served_model.bind(opened.path, Weights(path=moved), TASK)
