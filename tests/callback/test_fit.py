"""A callback measures `model.fit` of any code to its target, and claims nothing that it did not see."""

import pathlib
import time

import keras
import numpy as np
import pytest

import tfperf
from tests.callback.measured_fit import (
    INPUTS,
    TARGETS,
    compiled,
    dataset,
    done,
    events,
    fit,
    keys,
    missing,
    reaching,
    value,
)
from tfperf import manifest, result
from tfperf.compliance import checker
from tfperf.errors import ArgumentError


def test_reaches_the_target_and_leaves_a_run_directory(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run")
    model = fit(callback)
    outcome, run_dir = done(callback), tmp_path / "run"
    assert (outcome.valid, outcome.status, outcome.division, outcome.epochs) == (True, "success", "internal", 1)
    assert outcome.time_to_train_s == outcome.run_s > 0
    assert outcome.quality == result.Quality(
        metric="accuracy", value=outcome.quality.value, target=1e-9, reached=True, mode="max"
    )
    assert model.stop_training
    files = {path.relative_to(run_dir).parts[0] for path in run_dir.rglob("*") if path.is_file()}
    assert {"mllog.txt", "events.jsonl", "environment.json", "result.json", "manifest.json"} <= files
    assert {"train", "validation", "target"} <= files
    assert result.read(run_dir / "result.json") == outcome
    assert manifest.differences(run_dir) == ()


def test_the_log_is_that_of_a_run(tmp_path: pathlib.Path) -> None:
    fit(reaching(tmp_path / "run"))
    assert keys(tmp_path / "run") == [
        *("run_start", "block_start", "epoch_start", "epoch_stop", "global_batch_size", "train_samples"),
        *("eval_start", "eval_samples", "eval_accuracy", "eval_stop", "block_stop", "run_stop"),
    ]
    stamps = [event.time_s for event in events(tmp_path / "run")]
    assert stamps == sorted(stamps)
    (verdict,) = checker.check(tmp_path / "run")
    assert (verdict.status, verdict.division) == ("success", "internal")


def test_training_continues_after_the_target_without_stop_at_target(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", stop_at_target=False)
    model = fit(callback, epochs=3)
    assert len(model.history.epoch) == 3
    assert done(callback).valid
    assert done(callback).epochs == 1
    assert keys(tmp_path / "run")[-1] == "run_stop"


def test_a_missed_target_is_the_reason(tmp_path: pathlib.Path) -> None:
    callback = missing(tmp_path / "run")
    fit(callback)
    outcome = done(callback)
    assert (outcome.valid, outcome.status, outcome.time_to_train_s) == (False, "aborted", None)
    assert outcome.reasons[0].startswith("the target was missed: loss ")
    assert outcome.reasons[0].endswith(" after 2 epochs, the target is at most -1")


def test_early_stopping_ends_the_run_without_the_target(tmp_path: pathlib.Path) -> None:
    callback = missing(tmp_path / "run")
    fit(callback, keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=100, patience=1), epochs=9)
    assert (done(callback).status, done(callback).epochs) == ("aborted", 2)


def test_evaluates_when_keras_does(tmp_path: pathlib.Path) -> None:
    callback = missing(tmp_path / "run")
    fit(callback, epochs=4, validation_freq=2)
    evaluated = [event.metadata["epoch_num"] for event in events(tmp_path / "run") if event.key == "eval_accuracy"]
    assert evaluated == [2, 4]
    told = keys(tmp_path / "run")
    assert all(told.count(f"{name}_start") == told.count(f"{name}_stop") for name in ("run", "block", "epoch", "eval"))


def test_without_validation_data_nothing_is_claimed(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run")
    with pytest.warns(UserWarning, match="can't be reached: fit has no held-out data, so epoch 1 ended") as warned:
        fit(callback, validation_data=None)
    assert sum("validation_split" in str(warning.message) for warning in warned) == 1
    outcome = done(callback)
    assert (outcome.valid, outcome.reasons, outcome.epochs) == (
        False,
        ("the target was missed: no evaluation was made",),
        2,
    )
    assert outcome.examples_per_s is not None
    assert outcome.quality.value is None


def test_without_a_target_it_times_only(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    callback = tfperf.MLPerfCallback(tmp_path / "run", verbose=1)
    fit(callback)
    assert done(callback).reasons == ("no target was set: this run is timed only",)
    printed = capsys.readouterr().out
    assert "TIMED internal run of custom without a target, not verified by MLCommons" in printed
    assert "(no target was set)" in printed
    assert {"examples/s", "training", "evaluation", "first"} <= {line.split(" ")[0] for line in printed.splitlines()}


def test_prints_nothing_without_verbose(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(reaching(tmp_path / "run"))
    assert capsys.readouterr() == ("", "")


def test_several_outputs_are_monitored_by_their_names(tmp_path: pathlib.Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs,
        {
            "side": keras.layers.Dense(1, activation="sigmoid", name="side")(inputs),
            "size": keras.layers.Dense(1, name="size")(inputs),
        },
    )
    model.compile(
        "sgd",
        loss={"side": "binary_crossentropy", "size": "mse"},
        metrics={"side": [keras.metrics.AUC(name="area")], "size": ["mae"]},
        run_eagerly=True,
    )
    answers = {"side": TARGETS[:, None].astype("float32"), "size": INPUTS[:, :1]}
    part = {name: held[:12] for name, held in answers.items()}
    callback = tfperf.MLPerfCallback(tmp_path / "run", monitor="val_side_area", target=1e-9)
    fit(callback, model=model, y=answers, validation_data=(INPUTS[:12], part))
    assert done(callback).valid
    assert done(callback).quality.mode == "max", "the direction is the metric's own, the name says nothing"


def test_metrics_of_many_values_do_not_disturb(tmp_path: pathlib.Path) -> None:
    model = compiled(
        loss="categorical_crossentropy", metrics=["accuracy", keras.metrics.F1Score(average=None, name="of_each")]
    )
    callback = reaching(tmp_path / "run")
    answers = np.eye(2, dtype="float32")[TARGETS]
    fit(callback, model=model, y=answers, validation_data=(INPUTS[:12], answers[:12]))
    assert done(callback).valid


def test_a_clock_started_by_hand_covers_what_comes_before_fit(tmp_path: pathlib.Path) -> None:
    callback, model = reaching(tmp_path / "run"), compiled()
    callback.start(model)
    began = time.perf_counter()
    data = dataset().cache()
    before_s = time.perf_counter() - began
    fit(callback, model=model, x=data)
    outcome = done(callback)
    assert outcome.valid
    assert outcome.run_s > before_s
    assert not any("clock" in reason for reason in outcome.closed_ineligible_because)
    assert keys(tmp_path / "run").count("run_start") == 1


def test_a_metric_that_the_model_does_not_report_is_refused_after_the_first_step(tmp_path: pathlib.Path) -> None:
    callback = tfperf.MLPerfCallback(tmp_path / "run", monitor="val_acurracy", target=0.9, mode="max")
    message = r"monitor='val_acurracy' is not a metric that the model reports: val_accuracy, val_loss\."
    with pytest.raises(ArgumentError, match=message):
        fit(callback)
    assert done(callback).status == "aborted"
    assert "val_acurracy" in done(callback).reasons[0]
    assert value(tmp_path / "run", "eval_start") is None


def test_an_unknown_direction_is_refused(tmp_path: pathlib.Path) -> None:
    model = compiled(metrics=[keras.metrics.MeanMetricWrapper(lambda y, p: p[:, 0], name="score")])
    with pytest.raises(ArgumentError, match=r"Whether 'score' should rise or fall .* Write mode='max' or mode='min'\."):
        fit(tfperf.MLPerfCallback(tmp_path / "run", monitor="val_score", target=0.9), model=model)
    callback = tfperf.MLPerfCallback(tmp_path / "other", monitor="val_score", target=-1e9, mode="max")
    fit(callback, model=model)
    assert done(callback).quality.reached
