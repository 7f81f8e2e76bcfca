"""Whole measurements, with a tiny model and the official LoadGen: their files and their results."""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tests import xplanes
from tfperf import benchmarks, config, loadgen_log, manifest, result, spec
from tfperf.benchmarks.benchmark import InferenceTask
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.compliance import checker
from tfperf.errors import TfperfError, UsageError
from tfperf.inference import candidates, job, process
from tfperf.inference.chosen_form import ChosenForm
from tfperf.inference.form_comparison import FormComparison
from tfperf.inference.weights import Weights
from tfperf.serving import accuracy, inputs, measurement, runs
from tfperf.serving.prepared import PreparedMeasurement
from tfperf.system import devices
from tfperf.workspace import Workspace

MINI = benchmarks.get("resnet50_mini")
EVAL_EXAMPLES = 40


def task() -> InferenceTask:
    assert MINI.inference is not None
    return MINI.inference


def tiny(scenario: spec.Scenario, **changes: object) -> spec.InferSpec:
    options = dataclasses.replace(task().options, image_size=32, blocks=(1,), width=4)
    fields = {
        "benchmark": "resnet50_mini",
        "division": spec.Division.INTERNAL,
        "scenario": scenario,
        "data": spec.Data(source=Shapes(train_examples=64, eval_examples=EVAL_EXAMPLES)),
        "model": options,
        "executable": "litert-float32",
        "min_duration_s": 1.0,
        "min_queries": 64,
        "quality_target": 0.0,
    }
    return spec.InferSpec(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """The tiny model, untrained."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    task().build_model(tiny(spec.Offline()).model).save(path)
    return Weights(path=path)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where the scenes are drawn, once."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def workspace(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> Workspace:
    return Workspace(output_dir=tmp_path, name="tiny", data_dir=data_dir, device=spec.Device(kind="cpu"))


def test_a_measurement_leaves_a_run_directory_that_the_checker_takes(workspace: Workspace, model: Weights) -> None:
    run = tiny(spec.SingleStream())
    outcome, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace, compliance_tests=("TEST04",))
    assert (outcome.valid, outcome.reasons, outcome.status) == (True, (), "success")
    assert result.read(run_dir / "result.json") == outcome
    assert {each.window for each in outcome.energy} == {"performance"}
    assert {each.joules for each in outcome.energy if each.status == "unavailable"} <= {None}
    assert outcome.use[0].seconds == pytest.approx(outcome.energy[0].seconds)
    (limit,) = outcome.bottlenecks
    assert "of the measured matmul peak" in limit.evidence[-1] or limit.verdict not in ("compute", "memory")
    assert outcome.metric is not None
    assert outcome.metric.name == "early_stopping_latency_ss"
    assert outcome.latency_ns["p50"] <= outcome.metric.value <= outcome.latency_ns["p99_9"]
    assert outcome.accuracy is not None
    assert outcome.accuracy.value is not None
    assert round(outcome.accuracy.value * EVAL_EXAMPLES) in range(EVAL_EXAMPLES + 1)
    assert {measure.name: measure.value for measure in outcome.measurements}["retraces"] == 0
    assert outcome.audits["TEST04"].startswith(("passed", "FAILED"))
    assert not outcome.closed_eligible
    assert outcome.batches == {"1": outcome.loadgen["result_query_count"]}
    assert outcome.environment["devices"] == ["/device:CPU:0"]
    assert outcome.environment["tensor_float_32"] is False
    environment = json.loads((run_dir / "environment.json").read_text(encoding="utf-8"))
    assert environment == {"division": "internal", **outcome.environment}
    assert manifest.differences(run_dir) == ()
    (verdict,) = checker.check(run_dir)
    assert (verdict.kind, verdict.status, verdict.violations) == ("infer", "success", ())
    read_back = config.load_inference(str(run_dir / "spec.yaml"), task_of=benchmarks.task)
    assert read_back == run


def test_a_measurement_of_more_queries_than_rows_says_so(
    workspace: Workspace, model: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ROWS", 2048)
    run = tiny(spec.SingleStream(), accuracy=False, min_queries=4500)
    outcome, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace)
    queries = outcome.loadgen["result_query_count"]
    (note,) = [note for note in outcome.notes if "The recording holds" in note]
    assert note.startswith(f"The recording holds all of the {queries:,} queries and all of the executions")
    lost = [note for note in outcome.notes if "were overwritten before they could be read" in note]
    if not lost:  # the machine was quick enough
        assert outcome.batches == {"1": queries}
        assert note.endswith(f"among the {queries:,} slowest queries are exact.")
    with np.load(run_dir / "recording.npz") as rows:
        assert (rows["queries"], rows["query_every"]) == (queries, 1)
        assert len(rows["latency_ns"]) == queries or lost


@pytest.mark.slow
def test_the_accuracy_is_that_of_the_model_in_several_instances(workspace: Workspace, model: Weights) -> None:
    outcome, run_dir = measurement.infer(tiny(spec.Offline(), instances=2), MINI, trained=model, workspace=workspace)
    assert outcome.reasons == ()
    assert (outcome.valid, outcome.threads) == (True, max(1, devices.usable_cores() // 2))
    samples = task().open_samples(tiny(spec.Offline()).data, tiny(spec.Offline()).model, workspace.data_dir)
    import keras

    images = np.stack([image for (image,) in samples.load(range(EVAL_EXAMPLES))])
    predicted = keras.saving.load_model(model.path)(images).numpy().argmax(axis=1)
    assert outcome.accuracy is not None
    assert outcome.accuracy.value == pytest.approx((predicted == samples.labels()).mean())
    said = (run_dir / "accuracy" / "accuracy.txt").read_text(encoding="utf-8")
    assert said.startswith(f"accuracy={100 * outcome.accuracy.value:.3f}%, good=")
    assert len((run_dir / "accuracy" / "val_map.txt").read_text(encoding="utf-8").splitlines()) == EVAL_EXAMPLES


@pytest.mark.slow
def test_a_profile_is_among_the_files_of_a_measurement_and_noted(workspace: Workspace, model: Weights) -> None:
    run = tiny(spec.SingleStream(), executable="graph-float32", accuracy=False)
    outcome, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace, profile=True)
    assert (outcome.valid, outcome.reasons) == (True, ())
    assert outcome.notes[0].startswith("5 executions of graph-float32, in batches of 1, were profiled before")
    assert result.read(run_dir / "result.json") == outcome
    assert xplanes.steps(run_dir, "serve") == [0, 1, 2, 3, 4]
    assert xplanes.operations(run_dir, within="serve") & {"Conv2D", "_FusedConv2D"}
    assert manifest.differences(run_dir) == ()
    (verdict,) = checker.check(run_dir)
    assert (verdict.good, verdict.violations) == (True, ())


def test_a_profile_of_litert_is_refused_before_anything_is_made(workspace: Workspace, model: Weights) -> None:
    with pytest.raises(UsageError, match="--profile: executable litert-float32 runs in LiteRT"):
        measurement.infer(tiny(spec.Offline()), MINI, trained=model, workspace=workspace, profile=True)
    assert not list(workspace.output_dir.iterdir())


def test_a_rate_that_is_too_high_is_invalid_and_says_why(workspace: Workspace, model: Weights) -> None:
    run = tiny(spec.Server(target_qps=50_000, latency_bound_ms=1), accuracy=False)
    outcome, _ = measurement.infer(run, MINI, trained=model, workspace=workspace)
    assert (outcome.valid, outcome.status) == (False, "invalid")
    assert "The bound is 1 ms." in outcome.reasons[0] or "the bound of 1 ms" in outcome.reasons[0]


@pytest.mark.slow
def test_a_search_that_finds_no_valid_rate_is_invalid_and_names_what_computed(
    workspace: Workspace, model: Weights
) -> None:
    run = tiny(spec.Server(target_qps="auto", latency_bound_ms=0.001), accuracy=False)
    outcome, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace)
    assert (outcome.valid, outcome.status, bool(outcome.search)) == (False, "invalid", True)
    assert outcome.environment["devices"] == ["/device:CPU:0"]
    assert outcome.environment["tensor_float_32"] is False
    environment = json.loads((run_dir / "environment.json").read_text(encoding="utf-8"))
    assert environment == {"division": "internal", **outcome.environment}
    assert manifest.differences(run_dir) == ()


@pytest.mark.slow
def test_an_offline_run_that_ended_too_soon_is_repeated(
    workspace: Workspace, model: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, loadgen = [], runs.loadgen

    def slow_at_first(prepared: PreparedMeasurement, form: inputs.ServedForm, plan: runs.RunPlan) -> job.LoadgenOutcome:
        expected.append(plan.expected_qps)
        return loadgen(prepared, form, dataclasses.replace(plan, expected_qps=plan.expected_qps or 10.0))

    monkeypatch.setattr(runs, "loadgen", slow_at_first)
    outcome, run_dir = measurement.infer(tiny(spec.Offline(), accuracy=False), MINI, trained=model, workspace=workspace)
    first = loadgen_log.read(run_dir / "performance-too-short-1").values
    assert expected[:2] == [None, pytest.approx(1.2 * first["result_samples_per_second"])]
    assert (first["result_validity"], outcome.valid, outcome.reasons) == ("INVALID", True, ())
    assert "LoadGen expected 10 samples/s and" in outcome.notes[0]
    assert manifest.differences(run_dir) == ()


@pytest.mark.slow
def test_a_missed_accuracy_is_not_valid(workspace: Workspace, model: Weights) -> None:
    run = tiny(spec.MultiStream(), quality_target=1.5, min_queries=700)
    outcome, _ = measurement.infer(run, MINI, trained=model, workspace=workspace)
    assert (outcome.valid, outcome.status) == (False, "success")
    assert outcome.reasons[0].startswith("the accuracy is ")


@pytest.mark.parametrize(
    ("proven", "qualities", "folders"),
    [
        pytest.param(False, (0.5, 0.9), {"accuracy", "accuracy-litert-int8", "performance"}, id="accuracy first"),
        pytest.param(
            True,
            (0.5, 0.9),
            {"accuracy", "accuracy-litert-int8", "performance", "performance-litert-int8"},
            id="performance first",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_form_that_misses_the_accuracy_on_the_whole_set_gives_way_to_the_next(
    proven: bool,
    qualities: tuple[float, ...],
    folders: set[str],
    workspace: Workspace,
    model: Weights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose, scores = candidates.choose, iter(qualities)

    def lossy_first(comparison: FormComparison, **callbacks: Callable[[str], None]) -> ChosenForm:
        exact = choose(comparison, **callbacks)
        rows = (
            result.Candidate(executable="litert-int8", status="chosen"),
            result.Candidate(executable="litert-float32", status="measured", reason="takes 2.00 times as long"),
        )
        others = (dataclasses.replace(exact, candidates=rows),)
        return dataclasses.replace(others[0], executable="litert-int8", proven=proven, others=others)

    monkeypatch.setattr(candidates, "choose", lossy_first)
    monkeypatch.setattr(accuracy, "score", lambda log_dir, task, samples: next(scores))
    run = tiny(spec.SingleStream(), quality_target=0.8, min_duration_s=0.1)
    outcome, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace)
    assert (outcome.valid, outcome.executable) == (True, "litert-float32")
    assert outcome.accuracy is not None and outcome.accuracy.value == 0.9
    missed = "its accuracy on the whole evaluation set is 0.5000; the target is 0.8"
    assert [(row.executable, row.status, row.reason) for row in outcome.candidates] == [
        ("litert-int8", "inaccurate", missed),
        ("litert-float32", "chosen", ""),
    ]
    kept = ", ".join(sorted((name for name in folders if name.endswith("int8")), reverse=True))
    assert outcome.notes[0] == f"litert-int8 was served first, but {missed}. Its logs are kept in {kept}."
    assert {path.name for path in run_dir.iterdir() if path.name.startswith(("acc", "perf"))} == folders
    assert manifest.differences(run_dir) == ()


def test_the_logs_of_each_form_that_gives_way_keep_its_name(tmp_path: pathlib.Path) -> None:
    for form in ("xla-bfloat16", "litert-int8"):
        for name in ("performance", "performance-too-short-1", "accuracy"):
            (tmp_path / name).mkdir()
            (tmp_path / name / form).touch()
        kept = measurement._set_aside(tmp_path, form=form)
        assert kept == tuple(f"{name}-{form}" for name in ("performance", "performance-too-short-1", "accuracy"))
    assert all(path.name.endswith(f"-{next(path.iterdir()).name}") for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "others", "most_lost", "gives_way"),
    [
        (0.755, True, 0.02, True),
        (0.755, True, None, True),
        (0.755, True, 0.003, False),
        (0.755, False, 0.02, False),
        (0.77, True, 0.02, False),
    ],
)
def test_no_form_gives_way_where_float32_would_miss_too(
    value: float, others: bool, most_lost: float | None, gives_way: bool
) -> None:
    exact = ChosenForm(executable="litert-float32", directory=pathlib.Path(), candidates=(), execution_ns={}, threads=1)
    chosen = dataclasses.replace(exact, others=(exact,) if others else (), most_lost=most_lost)
    quality = result.Quality(metric="accuracy", value=value, target=0.76, reached=value >= 0.76)
    assert measurement._gives_way(chosen, quality) == gives_way


@pytest.mark.slow
@pytest.mark.timeout(1200)  # on a busy machine the search takes many probes, each in a process of its own
def test_the_highest_rate_is_found_confirmed_and_taken_up_again(workspace: Workspace, model: Weights) -> None:
    run = tiny(spec.Server(target_qps="auto"), min_duration_s=3.0, accuracy=False)
    outcome, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace)
    assert outcome.valid, outcome.reasons
    assert outcome.search[-1].stage == "full" or any(probe.stage == "full" for probe in outcome.search)
    again, _ = measurement.infer(run, MINI, trained=model, workspace=workspace, resume=run_dir)
    assert again.search == outcome.search


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (spec.Device(kind="gpu"), r"--device gpu needs 1 GPU, TensorFlow sees 0\. This machine has \d+ CPU cores and"),
        (spec.Device(kind="cpu", count=2), "--device: serving takes one processor: auto, cpu or gpu; got cpu:2"),
    ],
)
def test_a_device_that_can_not_serve_is_refused_before_anything_is_made(
    device: spec.Device, message: str, workspace: Workspace, model: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    elsewhere = dataclasses.replace(workspace, device=device)
    with pytest.raises(UsageError, match=message):
        measurement.infer(tiny(spec.Offline()), MINI, trained=model, workspace=elsewhere)
    assert not list(workspace.output_dir.iterdir())


def test_a_resumed_search_serves_the_form_of_the_earlier_run(
    workspace: Workspace, model: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def stop(comparison: FormComparison, **callbacks: Callable[[str], None]) -> ChosenForm:
        compared.append((comparison.executable, comparison.batch_sizes, comparison.instances, comparison.threads))
        raise TfperfError("far enough")

    monkeypatch.setattr(candidates, "choose", stop)
    run = tiny(spec.Server(target_qps="auto"), executable="auto", instances="auto")
    earlier, run_dir = measurement.infer(run, MINI, trained=model, workspace=workspace)
    searched = dataclasses.replace(earlier, executable="litert-int8", batch_sizes=(1, 2, 3), instances=3, threads=5)
    result.write(run_dir / "result.json", searched)
    (run_dir / "search.json").write_text("{}")
    measurement.infer(run, MINI, trained=model, workspace=workspace, resume=run_dir)
    assert compared == [("auto", None, "auto", devices.usable_cores()), ("litert-int8", (1, 2, 3), 3, 5)]
    result.write(run_dir / "result.json", dataclasses.replace(searched, executable=None))
    with pytest.raises(UsageError, match=r"its result\.json doesn't say which form was served: its executable is None"):
        measurement.infer(run, MINI, trained=model, workspace=workspace, resume=run_dir)


def test_a_resume_without_a_search_is_refused(workspace: Workspace, model: Weights, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UsageError, match=r"there is no search\.json"):
        measurement.infer(tiny(spec.Server()), MINI, trained=model, workspace=workspace, resume=tmp_path / "nothing")


def test_compliance_tests_of_other_benchmarks_are_refused(workspace: Workspace, model: Weights) -> None:
    with pytest.raises(UsageError, match="--compliance TEST06: accepted for resnet are TEST01, TEST04"):
        measurement.infer(tiny(spec.Offline()), MINI, trained=model, workspace=workspace, compliance_tests=("TEST06",))


def test_a_folder_without_a_trained_run_of_the_benchmark_is_refused(
    workspace: Workspace, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "result.json").write_text(json.dumps({"kind": "train", "benchmark": "x"}), encoding="utf-8")
    with pytest.raises(UsageError, match="holds 1 run directories, and none with a trained resnet50_mini"):
        measurement.infer(tiny(spec.Offline()), MINI, trained=Weights(path=tmp_path), workspace=workspace)
