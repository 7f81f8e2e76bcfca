"""A training run, from its spec to the files that it leaves."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import xplanes
from tfperf import benchmarks, manifest, result
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import TrainingTask
from tfperf.benchmarks.images.sources import Folder
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.compliance import checker, log, logged_benchmark, training_run
from tfperf.compliance.verdict import Violation
from tfperf.errors import ConfigError, DamagedDataError, UsageError
from tfperf.reporting import jsonl
from tfperf.run import train as run
from tfperf.system import multi_worker
from tfperf.workspace import Workspace

SHAPES = Shapes(train_examples=64, eval_examples=40)


def tiny(**changes: object) -> specs.TrainSpec:
    """Four steps an epoch of a model that compiles in a second."""
    options = dataclasses.replace(benchmarks.get("resnet50_mini").training.options, image_size=32, blocks=(1,), width=4)
    spec = specs.TrainSpec(
        benchmark="resnet50_mini",
        division=specs.Division.INTERNAL,
        global_batch_size=16,
        max_epochs=2,
        optimizer=specs.Sgd(base_learning_rate=0.1),
        data=specs.Data(source=SHAPES),
        model=options,
        quality_target=0.0,
    )
    return dataclasses.replace(spec, **changes)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("data")


def workspace(output_dir: pathlib.Path, data_dir: pathlib.Path) -> Workspace:
    return Workspace(output_dir=output_dir, name="tiny", data_dir=data_dir)


def disagreements(run_dir: pathlib.Path) -> tuple[Violation, ...]:
    """Where the files of a run contradict each other."""
    found = log.read(run_dir / "mllog.txt")
    return training_run.violations(found, benchmark=logged_benchmark.identify(found))


def train(
    spec: specs.TrainSpec, output_dir: pathlib.Path, data_dir: pathlib.Path, *callbacks: keras.callbacks.Callback
) -> tuple[result.TrainResult, pathlib.Path]:
    benchmark = benchmarks.get(spec.benchmark)
    outcome, run_dir = run.train(spec, benchmark, workspace=workspace(output_dir, data_dir), callbacks=callbacks)
    assert run_dir is not None
    return outcome, run_dir


def test_a_run_that_reaches_its_target_is_valid_and_leaves_everything(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    outcome, run_dir = train(tiny(), tmp_path, data_dir)
    assert (outcome.valid, outcome.status, outcome.epochs) == (True, "success", 1)
    assert outcome.time_to_train_s is not None
    assert 0 < outcome.time_to_train_s == outcome.run_s
    files = {path.relative_to(run_dir).parts[0] for path in run_dir.rglob("*") if path.is_file()}
    expected = {"spec.yaml", "environment.json", "events.jsonl", "result.json", "manifest.json", "mllog.txt"}
    assert expected | {"train", "validation", "target", "model.keras"} <= files
    assert result.read(run_dir / "result.json") == outcome
    assert manifest.differences(run_dir) == ()


def test_the_log_is_built_as_the_rules_ask(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    _, run_dir = train(tiny(), tmp_path, data_dir)
    (verdict,) = checker.check(run_dir)
    assert verdict.compliant is None, "a mini is no MLPerf benchmark"
    assert (verdict.status, verdict.benchmark) == ("success", "resnet50_mini")
    keys = [event.key for event in jsonl.read_events(run_dir / "events.jsonl") if event.key != "tracked_stats"]
    begin = [
        "submission_benchmark",
        "submission_division",
        "submission_org",
        "submission_platform",
        "submission_status",
    ]
    assert keys[: len(begin)] == begin
    assert keys.index("init_start") < keys.index("seed") < keys.index("init_stop") < keys.index("run_start")
    assert keys[keys.index("run_start") :] == [
        *("run_start", "block_start", "epoch_start", "epoch_stop", "eval_start", "eval_accuracy", "eval_stop"),
        *("block_stop", "run_stop"),
    ]


def test_a_file_that_was_changed_after_the_run_is_reported(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    outcome, run_dir = train(tiny(), tmp_path, data_dir)
    assert checker.check(run_dir)[0].violations == ()
    result.write(run_dir / "result.json", dataclasses.replace(outcome, examples_per_s=outcome.examples_per_s / 1e3))
    messages = [violation.message for violation in checker.check(run_dir)[0].violations]
    assert messages[0].startswith("result.json says examples_per_s ")
    assert messages[1:] == ["manifest.json: result.json was changed."]


def test_the_result_can_be_recomputed_from_the_log(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    outcome, run_dir = train(tiny(), tmp_path, data_dir)
    events = {event.key: event for event in jsonl.read_events(run_dir / "events.jsonl")}
    assert events["run_stop"].time_s - events["run_start"].time_s == pytest.approx(outcome.time_to_train_s, abs=0.01)
    assert events["eval_accuracy"].value == outcome.quality.value


def test_a_run_that_misses_its_target_ends_aborted_and_keeps_its_model(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    spec = tiny(quality_target=1.01, precision="mixed_bfloat16")
    weights: list[np.ndarray] = []

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs: dict[str, float] | None = None) -> None:
            weights.extend(self.model.get_weights())
            assert not list(tmp_path.glob("*/model.keras")), "it is saved outside the clock"

    outcome, run_dir = train(spec, tmp_path, data_dir, Look())
    kept = keras.saving.load_model(run_dir / "model.keras")
    assert not kept.compiled
    assert {layer.compute_dtype for layer in kept.layers if layer.weights} == {"float32"}
    for saved, trained in zip(kept.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(saved, trained)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert (outcome.valid, outcome.status, outcome.time_to_train_s) == (False, "aborted", None)
    assert outcome.reasons[0].startswith("the target was missed: accuracy 0.")
    assert checker.check(run_dir)[0].status == "aborted"
    assert disagreements(run_dir) == ()
    assert _between_blocks_s(run_dir) < 0.3


def _between_blocks_s(run_dir: pathlib.Path) -> float:
    """Seconds on the clock from an evaluation to the next block; new pipelines in between take half a second."""
    times = [(event.key, event.time_s) for event in jsonl.read_events(run_dir / "events.jsonl")]
    stopped = next(time_s for key, time_s in times if key == "eval_stop")
    return next(time_s for key, time_s in times if key == "block_start" and time_s > stopped) - stopped


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    wild = tiny(optimizer=specs.Sgd(base_learning_rate=1e30), quality_target=1.01)
    outcome, run_dir = train(wild, tmp_path, data_dir)
    assert outcome.status == "aborted"
    assert outcome.reasons[0].startswith("The loss of step ")
    assert not (run_dir / "model.keras").exists()
    assert checker.check(run_dir)[0].status == "aborted"
    assert disagreements(run_dir) == ()


def test_callbacks_see_the_deciding_evaluation_after_the_clock_stopped(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    seen = []

    class Look(keras.callbacks.Callback):
        def on_test_end(self, logs: dict[str, float] | None = None) -> None:
            (log,) = tmp_path.glob("*/mllog.txt")
            seen.append('"key": "run_stop"' in log.read_text(encoding="utf-8"))

    train(tiny(), tmp_path, data_dir, Look())
    assert seen == [True]


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    """Photographs in class folders, one of them cut off."""
    folder = tmp_path / "photos"
    for split, count in (("train", 20), ("val", 10)):
        for kind, color in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
            (folder / split / kind).mkdir(parents=True)
            for number in range(count):
                photo = Image.new("RGB", (48, 40), color)
                photo.putpixel((number, 0 if split == "train" else 1), (255, 255, 255))  # no two are the same
                photo.save(folder / split / kind / f"{number}.jpg", quality=95)
    spoiled = folder / "train" / "red" / "7.jpg"
    spoiled.write_bytes(spoiled.read_bytes()[:-200])
    return folder


def of_photos(**changes: object) -> specs.TrainSpec:
    model = dataclasses.replace(tiny().model, classes=2)
    return tiny(data=specs.Data(source=Folder(), **changes), model=model, quality_target=1.01)


def test_a_corrupt_photograph_ends_the_run_and_is_named(photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(DamagedDataError, match=r"train/red/7\.jpg"):
        train(of_photos(), tmp_path / "runs", photos)
    (run_dir,) = (tmp_path / "runs").iterdir()
    outcome = result.read(run_dir / "result.json")
    assert (outcome.valid, outcome.status) == (False, "aborted")
    assert "train/red/7.jpg" in outcome.reasons[0]
    assert checker.check(run_dir)[0].status == "aborted"
    assert disagreements(run_dir) == ()


def test_a_corrupt_photograph_that_may_be_skipped_stands_in_the_result(
    photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    outcome, _ = train(of_photos(skip_corrupt=1), tmp_path / "runs", photos)
    assert outcome.epochs == 2
    (line,) = outcome.skipped_examples
    assert "train/red/7.jpg" in line


def test_the_seed_is_drawn_anew_unless_given(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    seeds = [train(tiny(), tmp_path, data_dir)[0].config["seed"] for _ in range(2)]
    assert seeds[0] != seeds[1]
    assert train(tiny(seed=7), tmp_path, data_dir)[0].config["seed"] == 7


def test_a_profile_within_a_run_is_among_its_files_and_noted(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    outcome, run_dir = run.train(
        tiny(), benchmarks.get("resnet50_mini"), workspace=workspace(tmp_path, data_dir), profile=True
    )
    assert run_dir is not None
    assert outcome.valid
    (note,) = outcome.notes
    assert note.startswith("The profiler ran within the timed region, in steps 1 to 4: ")
    clock_started, clock_stopped = timed_region_s(run_dir)
    began, ended = xplanes.taken_s(run_dir)
    assert clock_started < began < ended < clock_stopped
    assert xplanes.steps(run_dir, "train") == [0, 1, 2, 3]
    assert manifest.differences(run_dir) == ()
    (verdict,) = checker.check(run_dir)
    assert (verdict.good, verdict.status) == (True, "success")


def test_a_profile_of_a_closed_run_ends_before_the_clock_starts(
    tmp_path: pathlib.Path, data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "is_own", lambda benchmark: True)  # only tfperf's own benchmarks run closed
    mini = benchmarks.get("resnet50_mini")
    task: TrainingTask = dataclasses.replace(
        mini.training,
        quality=dataclasses.replace(mini.training.quality, value=0.0),
        options=tiny().model,
        submission_benchmark="tiny",
        rules=lambda spec: (),
    )
    closed = tiny(division=specs.Division.CLOSED, quality_target=None)
    benchmark = dataclasses.replace(mini, training=task, inference=None, mlperf=True)
    outcome, run_dir = run.train(closed, benchmark, workspace=workspace(tmp_path, data_dir), profile=True)
    assert run_dir is not None
    assert outcome.valid
    (note,) = outcome.notes
    assert note.startswith("5 steps on synthetic batches were profiled before the clock started")
    assert xplanes.taken_s(run_dir)[1] < timed_region_s(run_dir)[0]
    assert xplanes.steps(run_dir, "train") == [0, 1, 2, 3, 4]
    assert manifest.differences(run_dir) == ()


def timed_region_s(run_dir: pathlib.Path) -> tuple[float, float]:
    """Its begin and end, since the Unix epoch."""
    stamps = {event.key: event.time_s for event in jsonl.read_events(run_dir / "events.jsonl")}
    return stamps["run_start"], stamps["run_stop"]


@pytest.mark.usefixtures("two_cpus")
def test_runs_on_two_replicas(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    there = dataclasses.replace(workspace(tmp_path, data_dir), device=specs.Device(kind="cpu", count=2))
    outcome, _ = run.train(tiny(), benchmarks.get("resnet50_mini"), workspace=there)
    assert outcome.valid
    assert (outcome.environment["replicas"], outcome.environment["strategy"]) == (2, "MirroredStrategy")


@pytest.mark.usefixtures("two_cpus")
def test_a_batch_that_replicas_can_not_share_is_refused(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    there = dataclasses.replace(workspace(tmp_path, data_dir), device=specs.Device(kind="cpu", count=2))
    with pytest.raises(UsageError, match="global_batch_size must be a multiple of 2, which is 2 replicas times"):
        run.train(tiny(global_batch_size=15), benchmarks.get("resnet50_mini"), workspace=there)
    assert not list(tmp_path.iterdir())


def test_a_closed_run_outside_the_rules_is_refused_with_all_of_them(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    closed = dataclasses.replace(tiny(division=specs.Division.CLOSED), benchmark="resnet50")
    with pytest.raises(ConfigError) as raised:
        train(closed, tmp_path, data_dir)
    broken = {violation.partition(":")[0] for violation in raised.value.violations}
    assert {"quality_target", "evaluation.every_epochs", "model.width", "data.source"} <= broken
    assert not list(tmp_path.iterdir())


def test_a_metric_that_the_model_does_not_report_is_refused_before_the_clock_starts(
    tmp_path: pathlib.Path, data_dir: pathlib.Path
) -> None:
    mini = benchmarks.get("resnet50_mini")
    quality = dataclasses.replace(mini.training.quality, metric="top_9")
    task: TrainingTask = dataclasses.replace(mini.training, quality=quality)
    with pytest.raises(UsageError, match=r"The target's metric is 'top_9', the model reports loss, accuracy\."):
        run.train(tiny(), dataclasses.replace(mini, training=task), workspace=workspace(tmp_path, data_dir))
    assert not list(tmp_path.iterdir()), "a run that never began left something"


def test_an_output_dir_that_can_not_be_made_is_refused(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match=r"The run directory .* can't be created: .* Choose another --output_dir\."):
        train(tiny(), tmp_path / "taken", data_dir)


def test_a_missing_file_of_a_callback_is_no_full_disk(tmp_path: pathlib.Path, data_dir: pathlib.Path) -> None:
    class Reads(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            pathlib.Path("/nowhere/notes").read_text(encoding="utf-8")

    with pytest.raises(FileNotFoundError):
        train(tiny(quality_target=1.0), tmp_path, data_dir, Reads())
    (run_dir,) = tmp_path.iterdir()
    outcome = result.read(run_dir / "result.json")
    assert (outcome.valid, outcome.status) == (False, "aborted")
    assert "/nowhere/notes" in " ".join(outcome.reasons)


def test_an_interrupt_while_the_cause_of_a_failure_is_sought_still_ends_the_log(
    tmp_path: pathlib.Path, data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            raise tf.errors.InternalError(None, None, "an operation failed")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(multi_worker, "lost_worker", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(quality_target=1.0), tmp_path, data_dir, Fails())
    (run_dir,) = tmp_path.iterdir()
    outcome = result.read(run_dir / "result.json")
    assert (outcome.status, outcome.reasons) == ("aborted", ("interrupted",))
    assert checker.check(run_dir)[0].status == "aborted"


def test_the_same_seed_gives_the_same_losses_at_every_step(data_dir: pathlib.Path) -> None:
    train_on = [sys.executable, __file__, str(data_dir)]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first, second = (
        subprocess.run(train_on, env=path, stdout=subprocess.PIPE, text=True, check=True).stdout for _ in range(2)
    )
    losses = json.loads(first.splitlines()[-1])
    assert len(losses) == 8
    assert len(set(losses)) == 8
    assert json.loads(second.splitlines()[-1]) == losses


def _losses(data_dir: pathlib.Path) -> None:
    """Prints the loss of every step of a deterministic run."""
    import tempfile

    seen: list[float] = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            assert logs is not None
            seen.append(logs["loss"])

    with tempfile.TemporaryDirectory() as directory:
        spec = tiny(deterministic=True, seed=3, quality_target=1.01)
        train(spec, pathlib.Path(directory), data_dir, Look())
    print(json.dumps(seen))


if __name__ == "__main__":
    _losses(pathlib.Path(sys.argv[1]))
