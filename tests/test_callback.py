"""A callback measures `model.fit` of any code, claims nothing that it did not see, and survives what happens to it."""

import contextlib
import copy
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfperf
from tfperf import manifest, result
from tfperf.callback import run_directory
from tfperf.compliance import checker
from tfperf.errors import ArgumentError
from tfperf.events import Event
from tfperf.reporting import jsonl

EXAMPLES, BATCH, STEPS = 26, 8, 4  # the last batch has 2
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(EXAMPLES, 4)).astype("float32")
TARGETS = (INPUTS[:, 0] > 0).astype("int32")
HELD_OUT = (INPUTS[:12], TARGETS[:12])


def compiled(**changes: Any) -> keras.Model:
    """A model that runs untraced by default."""
    keras.utils.set_random_seed(0)
    model = changes.pop("model", None) or keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"optimizer": "sgd", "loss": loss, "metrics": ["accuracy"], "run_eagerly": True}
    model.compile(**{**options, **changes})
    return model


def fit(callback: keras.callbacks.Callback, *others: keras.callbacks.Callback, **changes: Any) -> keras.Model:
    model = changes.pop("model", None) or compiled()
    options = {"x": INPUTS, "y": TARGETS, "validation_data": HELD_OUT, "batch_size": BATCH, "epochs": 2, "verbose": 0}
    options |= changes
    if not isinstance(options["x"], np.ndarray):
        options |= {"y": None, "batch_size": None, "shuffle": False}
    model.fit(callbacks=[callback, *others], **options)
    return model


def events(run_dir: pathlib.Path) -> list[Event]:
    return jsonl.read_events(run_dir / "events.jsonl")


def keys(run_dir: pathlib.Path) -> list[str]:
    """The keys from the start of the clock on, statistics left out."""
    found = [event.key for event in events(run_dir) if event.key != "tracked_stats"]
    return found[found.index("run_start") :]


def value(run_dir: pathlib.Path, key: str) -> Any:
    return next((event.value for event in events(run_dir) if event.key == key), None)


def done(callback: tfperf.MLPerfCallback) -> result.TrainResult:
    assert callback.result is not None
    return callback.result


def reaching(log_dir: pathlib.Path, **options: Any) -> tfperf.MLPerfCallback:
    """A callback whose target the first evaluation reaches."""
    return tfperf.MLPerfCallback(log_dir, **{"monitor": "val_accuracy", "target": 1e-9, **options})


def missing(log_dir: pathlib.Path, **options: Any) -> tfperf.MLPerfCallback:
    """A callback whose target no evaluation reaches."""
    return tfperf.MLPerfCallback(log_dir, **{"monitor": "val_loss", "target": -1.0, **options})


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


def generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        yield INPUTS[:BATCH], TARGETS[:BATCH]


class Pieces(keras.utils.PyDataset):
    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(index * BATCH, (index + 1) * BATCH)
        return INPUTS[part], TARGETS[part]


def dataset() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((INPUTS, TARGETS)).batch(BATCH)


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "arrays": dict,
    "class weights": lambda: {"class_weight": {0: 1.0, 1: 3.0}},
    "sample weights": lambda: {"sample_weight": np.linspace(0, 1, EXAMPLES)},
    "validation_split": lambda: {"validation_split": 0.2, "validation_data": None},
    "dataset": lambda: {"x": dataset()},
    "unknown size": lambda: {"x": dataset().filter(lambda x, y: True)},
    "endless dataset": lambda: {"x": dataset().repeat(), "steps_per_epoch": 5},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 5},
    "PyDataset": lambda: {"x": Pieces()},
}


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps_per_execution", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_what_keras_really_trained_on(tmp_path: pathlib.Path, kind: str, steps_per_execution: int) -> None:
    seen: list[tuple[int, float]] = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.before = int(self.model.optimizer.iterations)

        def on_test_begin(self, logs: Any = None) -> None:
            count = next(metric for metric in self.model.metrics if metric.name == "loss").count
            seen.append((int(self.model.optimizer.iterations) - self.before, float(count)))

    callback = missing(tmp_path / "run")
    fit(callback, Look(), model=compiled(steps_per_execution=steps_per_execution), **KINDS[kind]())
    run = callback._run
    assert run is not None
    assert [(epoch.steps, epoch.examples) for epoch in run.meter.epochs] == seen
    assert value(tmp_path / "run", "train_samples") == seen[0][1]
    # Where the first execution holds an uneven batch there is no telling.
    batch = None if (kind, steps_per_execution) == ("validation_split", 3) else BATCH
    assert value(tmp_path / "run", "global_batch_size") == batch
    assert value(tmp_path / "run", "eval_samples") == (6 if kind == "validation_split" else 12)


def test_the_examples_of_a_custom_train_step_are_not_guessed(tmp_path: pathlib.Path) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x))
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True)
            )
            return {"loss": loss}

    def own() -> Own:
        model = Own()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
        return model

    unknown = reaching(tmp_path / "unknown", monitor="val_loss", target=1e9)
    fit(unknown, model=own())
    assert (done(unknown).valid, done(unknown).examples_per_s) == (True, None)
    assert done(unknown).config["model"]["parameters"] == 10, "it was not built before"
    assert value(tmp_path / "unknown", "global_batch_size") is None
    told = reaching(tmp_path / "told", monitor="val_loss", target=1e9, global_batch_size=BATCH)
    fit(told, model=own())
    assert done(told).examples_per_s is not None
    assert value(tmp_path / "told", "global_batch_size") == BATCH


class Steps(keras.Model):
    """Trains with a step of its own, which counts nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x))
        found = tape.gradient(loss, self.trainable_weights)
        self.trains().apply_gradients(zip(found, self.trainable_weights, strict=True))
        return {"loss": loss}

    def trains(self) -> keras.optimizers.Optimizer:
        return self.optimizer


class Adversaries(Steps):
    """Trains with optimizers that it was not compiled with."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.2)

    def trains(self) -> keras.optimizers.Optimizer:
        return self.first


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    ("kind", "examples", "known"),
    [
        (dict, 26, True),
        (lambda: {"x": dataset()}, 26, True),
        (lambda: {"x": dataset().prefetch(1)}, 26, True),
        (lambda: {"x": dataset().map(lambda x, y: (x, y)).prefetch(1)}, 26, True),
        (lambda: {"x": tf.data.Dataset.from_tensors((INPUTS[:8], TARGETS[:8])).repeat(3)}, 24, True),
        (lambda: {"x": dataset().filter(lambda x, y: True)}, 32, False),
        (lambda: {"x": Pieces()}, 32, False),
    ],
    ids=["arrays", "dataset", "prefetched", "mapped", "static", "filtered", "PyDataset"],
)
def test_a_partial_last_batch_of_a_custom_step_is_no_whole_one(
    tmp_path: pathlib.Path, kind: Callable[[], dict[str, Any]], examples: int, known: bool
) -> None:
    model = compiled(model=Steps(), metrics=None)
    callback = tfperf.MLPerfCallback(tmp_path / "run", global_batch_size=BATCH)
    fit(callback, model=model, **kind())
    run = callback._run
    assert run is not None
    assert {epoch.examples for epoch in run.meter.epochs} == {examples}
    assert value(tmp_path / "run", "train_samples") == (examples if known else None)
    assert any("counts as a whole one" in note for note in done(callback).notes) is not known


def test_an_optimizer_that_never_steps_is_not_logged(tmp_path: pathlib.Path) -> None:
    callback = tfperf.MLPerfCallback(tmp_path / "run")
    fit(callback, model=compiled(model=Adversaries(), metrics=None, optimizer="rmsprop"))
    assert value(tmp_path / "run", "opt_name") is None
    assert done(callback).config["optimizer"] == {}
    assert (
        "The compiled optimizer, RMSprop, made no step, so no optimizer is logged. The model holds first (Adam), "
        "second (Adam)."
    ) in done(callback).notes
    stats = [event.value for event in events(tmp_path / "run") if event.key == "tracked_stats"]
    assert not any("learning_rate" in values for values in stats)
    used = tfperf.MLPerfCallback(tmp_path / "used")
    fit(used, model=compiled(model=Steps(), metrics=None, optimizer="rmsprop"))
    assert value(tmp_path / "used", "opt_name") == "rmsprop"
    assert done(used).config["optimizer"]["opt_base_learning_rate"] == 0.001


@pytest.mark.parametrize("batches", [2, 4])
def test_batches_trained_one_by_one_are_not_taken_for_the_last_one(tmp_path: pathlib.Path, batches: int) -> None:
    model = compiled()

    def train(path: str, **options: Any) -> result.TrainResult:
        callback = missing(tmp_path / path, **options)
        hooks = keras.callbacks.CallbackList([callback], model=model, epochs=2, steps=batches)
        hooks.on_train_begin()
        for epoch in range(2):
            hooks.on_epoch_begin(epoch)
            for step in range(batches):
                hooks.on_train_batch_begin(step)
                logs = model.train_on_batch(INPUTS[:8], TARGETS[:8], return_dict=True)
                hooks.on_train_batch_end(step, logs)
            hooks.on_epoch_end(epoch, logs)
        hooks.on_train_end()
        run = callback._run
        assert run is not None
        counted = {epoch.examples for epoch in run.meter.epochs}
        assert counted == {8 * batches if options else None}
        return done(callback)

    outcome = train("unknown")
    assert (outcome.examples_per_s, outcome.notes[-1]) == (
        None,
        "The model's metrics were reset within an epoch, so its examples can't be counted. Pass global_batch_size to "
        "count the steps in its place.",
    )
    assert train("told", global_batch_size=8).examples_per_s is not None


def test_another_model_does_not_bear_the_name_of_a_benchmark(tmp_path: pathlib.Path) -> None:
    message = r"benchmark='resnet50' is for a model of 25,557,032 trainable parameters, this one has 10\. Leave out"
    with pytest.raises(ArgumentError, match=message):
        fit(tfperf.MLPerfCallback(tmp_path / "built", benchmark="resnet50"))
    assert not list(tmp_path.iterdir())
    unbuilt = tfperf.MLPerfCallback(tmp_path / "unbuilt", benchmark="resnet50")
    with pytest.raises(ArgumentError, match=message):
        fit(unbuilt, model=compiled(model=keras.Sequential([keras.layers.Dense(2)])))
    assert not done(unbuilt).valid


@pytest.mark.parametrize("place", [0, 4])
def test_stands_anywhere_beside_the_callbacks_of_keras(tmp_path: pathlib.Path, place: int) -> None:
    others: list[keras.callbacks.Callback] = [
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="val_accuracy", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=5, restore_best_weights=True),
        keras.callbacks.TensorBoard(str(tmp_path / "board")),
        keras.callbacks.BackupAndRestore(str(tmp_path / "backup")),
    ]
    callback = reaching(tmp_path / "run")
    first, *rest = [*others[:place], callback, *others[place:]]
    fit(first, *rest)
    assert (done(callback).valid, done(callback).epochs) == (True, 1)
    assert (tmp_path / "best.keras").exists()
    assert manifest.differences(tmp_path / "run") == ()


def test_other_callbacks_see_the_deciding_evaluation_after_the_clock_stopped(tmp_path: pathlib.Path) -> None:
    seen = []

    class Look(keras.callbacks.Callback):
        def on_test_end(self, logs: Any = None) -> None:
            seen.append("run_stop" in keys(tmp_path / "run"))

    fit(reaching(tmp_path / "run"), Look())
    assert seen == [True]


def test_an_evaluation_by_another_callback_is_ignored(tmp_path: pathlib.Path) -> None:
    class Evaluate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.evaluate(*HELD_OUT, callbacks=[callback], verbose=0)

    callback = missing(tmp_path / "run")
    fit(callback, Evaluate())
    assert keys(tmp_path / "run").count("eval_accuracy") == 2


def test_may_be_wrapped_in_another_callback(tmp_path: pathlib.Path) -> None:
    class Around(keras.callbacks.CallbackList):
        """Forwards the hooks."""

    inner = missing(tmp_path / "run")
    lasting = threading.Event()

    class Wait(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            lasting.wait(0.6)  # time enough to be taken for left

    model = compiled()
    fit(Around([inner], model=model), Wait(), model=model)
    assert done(inner).reasons[0].startswith("the target was missed")
    assert done(inner).epochs == 2


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
    assert (outcome.valid, outcome.reasons, outcome.epochs) == (False, ("no evaluation was made",), 2)
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


def test_the_first_execution_is_not_in_the_steady_numbers(tmp_path: pathlib.Path) -> None:
    def delay(x: tf.Tensor) -> tf.Tensor:
        if not delayed:
            delayed.append(True)
            time.sleep(2.0)
        return x

    delayed: list[bool] = []
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(delay), keras.layers.Dense(2)])
    delayed.clear()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"], run_eagerly=True)
    callback = missing(tmp_path / "run")
    fit(callback, model=model)
    found = {each.name: each.value for each in done(callback).measurements}
    run = callback._run
    assert run is not None
    epoch, rest = run.meter.epochs[0], STEPS - 1
    assert 2.0 <= found["first execution"] <= epoch.seconds <= found["training"]
    stats = [event for event in events(tmp_path / "run") if event.key == "tracked_stats"]
    speed = [event.value for event in stats if event.metadata["step"] == STEPS and "loss" in event.value][-1]
    assert speed["step_time_ms"] == pytest.approx((epoch.seconds - found["first execution"]) / rest * 1e3)
    assert (done(callback).examples_per_s or 0) > 2 * EXAMPLES / found["training"]


@pytest.mark.parametrize("steps_per_execution", [1, 4])
def test_measures_how_long_the_steps_wait_for_input(tmp_path: pathlib.Path, steps_per_execution: int) -> None:
    def read(x: np.ndarray) -> np.ndarray:
        time.sleep(0.1)
        return x

    def slow(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.ensure_shape(tf.numpy_function(read, [x], tf.float32), x.shape), y

    callback = missing(tmp_path / "run")
    model = compiled(run_eagerly=False, steps_per_execution=steps_per_execution)
    fit(callback, model=model, x=dataset().repeat(4).map(slow), epochs=1)
    (share,) = (each.value for each in done(callback).measurements if each.name == "waiting for input")
    assert share > 50


def test_fit_twice_gives_two_runs_of_which_the_second_is_no_whole_one(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run")
    model = fit(callback)
    assert callback.run_dir == tmp_path / "run"
    fit(callback, model=model)
    assert callback.run_dir == tmp_path / "run-2"
    outcome = result.read(tmp_path / "run-2" / "result.json")
    assert outcome.status == "success"
    assert not outcome.valid
    assert outcome.reasons == (f"the model had been trained for {STEPS} steps before: they are not on the clock",)
    assert result.read(tmp_path / "run" / "result.json").valid


def test_initial_epoch_is_no_whole_run(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run")
    fit(callback, initial_epoch=3, epochs=5)
    assert done(callback).reasons == ("training continued from epoch 3: the training before it is not on the clock",)
    assert value(tmp_path / "run", "block_start") is None
    (started,) = (event.metadata for event in events(tmp_path / "run") if event.key == "epoch_start")
    assert started == {"epoch_num": 4}


@pytest.mark.parametrize("ours_first", [True, False])
def test_a_run_that_was_restored_is_no_whole_one(tmp_path: pathlib.Path, ours_first: bool) -> None:
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    def backup() -> keras.callbacks.BackupAndRestore:
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))

    with contextlib.suppress(KeyboardInterrupt):
        fit(backup(), Interrupt(), epochs=4)
    callback = reaching(tmp_path / "run")
    fit(*([callback, backup()] if ours_first else [backup(), callback]), epochs=4)
    assert done(callback).reasons == ("training continued from epoch 2: the training before it is not on the clock",)


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


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(("policy", "accumulated"), [("mixed_bfloat16", None), ("mixed_float16", 2)])
def test_mixed_precision_and_accumulation(tmp_path: pathlib.Path, policy: str, accumulated: int | None) -> None:
    optimizer = keras.optimizers.Adam(0.01, gradient_accumulation_steps=accumulated)
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(optimizer=optimizer, steps_per_execution=3, run_eagerly=False)
    finally:
        keras.config.set_dtype_policy("float32")
    callback = missing(tmp_path / "run")
    fit(callback, model=model)
    assert done(callback).config["precision"] == policy
    assert value(tmp_path / "run", "gradient_accumulation_steps") == (accumulated or 1)
    assert value(tmp_path / "run", "global_batch_size") == BATCH * (accumulated or 1)
    assert value(tmp_path / "run", "opt_base_learning_rate") == 0.01
    assert value(tmp_path / "run", "train_samples") == EXAMPLES
    run = callback._run
    assert run is not None
    assert [epoch.steps for epoch in run.meter.epochs] == [STEPS, STEPS]


@pytest.mark.usefixtures("two_cpus")
def test_two_replicas_count_as_one_run(tmp_path: pathlib.Path, two_cpus: tuple[str, str]) -> None:
    strategy = tf.distribute.MirroredStrategy(two_cpus, cross_device_ops=tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        model = compiled(run_eagerly=False)
    callback = missing(tmp_path / "run")
    fit(callback, model=model)
    assert done(callback).environment["replicas"] == 2
    assert value(tmp_path / "run", "global_batch_size") == BATCH
    assert value(tmp_path / "run", "train_samples") == EXAMPLES


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


def test_a_benchmark_gives_target_ruleset_and_keys(tmp_path: pathlib.Path) -> None:
    callback = tfperf.MLPerfCallback(tmp_path / "run", benchmark="resnet50")
    large = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3_651_000), keras.layers.Dense(2)])
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.PolynomialDecay(0.5, 100), momentum=0.9)
    fit(callback, model=compiled(model=large, optimizer=optimizer), epochs=1)
    outcome = done(callback)
    assert (outcome.benchmark, outcome.division) == ("resnet50", "open")
    assert (outcome.quality.metric, outcome.quality.target) == ("accuracy", 0.759)
    told = {event.key: event for event in events(tmp_path / "run")}
    assert told["submission_benchmark"].value == "resnet"
    assert told["quality_target"].metadata == {
        "metric": "accuracy",
        "mode": "max",
        "mlperf": True,
        "checked_as": "resnet",
        "ruleset": "4.0.0",
    }
    rate = {
        key: told[f"sgd_opt_{key}"].value for key in ("base_learning_rate", "momentum", "learning_rate_decay_steps")
    }
    assert rate == {"base_learning_rate": 0.5, "momentum": 0.9, "learning_rate_decay_steps": 100}
    assert not outcome.closed_eligible
    assert [reason.partition(";")[0].partition(":")[0] for reason in outcome.closed_ineligible_because] == [
        "The model, its data and its optimizer are the caller's",
        f"The training set has {EXAMPLES} examples",
        "The evaluation set has 12 examples",
        "The caches were not cleared before the run",
        "The clock may have started after data was read",
    ]


class Fail(keras.callbacks.Callback):
    """Raises in the second epoch."""

    def __init__(self, error: BaseException, hook: str) -> None:
        super().__init__()
        self.error, self.hook, self.epoch = error, hook, 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch
        self._perhaps("epoch_begin")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._perhaps("train_batch_end")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._perhaps("test_batch_end")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._perhaps("epoch_end")

    def _perhaps(self, hook: str) -> None:
        if self.epoch == 1 and hook == self.hook:
            raise self.error


@pytest.mark.parametrize(
    ("error", "hook"),
    [
        (ValueError("broken"), "epoch_begin"),
        (KeyboardInterrupt(), "train_batch_end"),
        (ValueError("broken"), "test_batch_end"),
        (KeyboardInterrupt(), "epoch_end"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_exception_in_fit_leaves_an_aborted_log(tmp_path: pathlib.Path, error: BaseException, hook: str) -> None:
    callback = missing(tmp_path / "run")
    with pytest.raises(type(error)) as raised:
        fit(callback, Fail(error, hook))
    assert raised.value is error, "the traceback, with the frame of fit, is still held here"
    outcome = done(callback)
    assert (outcome.status, outcome.reasons) == ("aborted", ("model.fit exited with an exception or an interrupt",))
    told = keys(tmp_path / "run")
    assert told[-1] == "run_stop"
    assert all(told.count(f"{name}_start") == told.count(f"{name}_stop") for name in ("run", "block", "epoch", "eval"))
    assert checker.check(tmp_path / "run")[0].status == "aborted"
    again = reaching(tmp_path / "again")
    fit(again)
    assert done(again).valid


def test_an_exception_is_noticed_without_reading_the_result(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="broken"):
        fit(missing(tmp_path / "run"), Fail(ValueError("broken"), "epoch_end"))
    deadline = time.monotonic() + 20
    while not (tmp_path / "run" / "manifest.json").exists():
        assert time.monotonic() < deadline, "nobody noticed that fit exited"
        time.sleep(0.1)
    assert value(tmp_path / "run", "run_start") is None
    assert keys(tmp_path / "run")[-1] == "run_stop"


def test_the_next_fit_ends_the_one_that_was_left(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", stop_at_target=False, target=None, monitor=None)
    with pytest.raises(ValueError, match="broken"):
        fit(callback, Fail(ValueError("broken"), "epoch_end"))
    fit(callback)
    assert result.read(tmp_path / "run" / "result.json").status == "aborted"
    assert done(callback).epochs == 2
    assert callback.run_dir == tmp_path / "run-2"


def test_the_end_of_the_interpreter_leaves_an_aborted_log(tmp_path: pathlib.Path) -> None:
    program = f"""
import keras, numpy as np, tfperf
class Fail(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse", run_eagerly=True)
callback = tfperf.MLPerfCallback({str(tmp_path / "run")!r}, monitor="val_loss", target=0.1)
model.fit(np.ones((8, 4)), np.ones((8, 1)), callbacks=[callback, Fail()], verbose=0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "KeyboardInterrupt" in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert keys(tmp_path / "run")[-1] == "run_stop"
    assert result.read(tmp_path / "run" / "result.json").status == "aborted"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"target": 0.9},
            r"target=0\.9 needs a metric to monitor\. Write monitor='val_accuracy' or another reported metric\.",
        ),
        (
            {"monitor": "accuracy", "target": 0.9},
            r"monitor must be measured on held-out data, so its name begins with 'val_'; got 'accuracy'\. "
            r"Write monitor='val_accuracy' and give fit validation_data\.",
        ),
        (
            {"monitor": "val_accuracy", "target": 97},
            r"target must be more than 0 and at most 1 for 'val_accuracy', got 97\. For 97 % write target=0\.97\.",
        ),
        (
            {"monitor": "val_accuracy", "target": 0.9, "mode": "min"},
            r"mode='min': 'accuracy' rises as the model gets better, so the target would lie in the wrong direction\.",
        ),
        (
            {"monitor": "val_loss", "target": 0.9, "mode": "max"},
            r"mode='max': 'loss' falls as the model gets better, .*\. Write mode='min' or leave mode out\.",
        ),
        ({"monitor": "val_loss", "mode": "up"}, r"mode must be auto, max or min, got 'up'\."),
        ({"monitor": "val_loss", "target": "low"}, r"target must be a finite number, got 'low'\."),
        ({"monitor": "val_loss", "target": float("nan")}, r"target must be a finite number, got nan\."),
        ({"benchmark": "resnet51"}, r"unknown name 'resnet51'\. Did you mean resnet50\? Accepted: resnet50, "),
        (
            {"benchmark": "resnet50", "target": 0.1},
            r"target=0\.1 is not that of resnet50, 0\.759\. Leave target out, or leave benchmark out\.",
        ),
        (
            {"benchmark": "resnet50", "monitor": "val_top5"},
            r"monitor='val_top5' is not that of resnet50, 'val_accuracy'\. Leave monitor out, or leave benchmark out\.",
        ),
        ({"benchmark": 50}, r"benchmark must be a name or a tfperf\.Benchmark, got 50\."),
        ({"global_batch_size": 0}, r"global_batch_size must be a whole number above 0, got 0\."),
        ({"if_taken": "overwrite"}, r"if_taken must be 'number' or 'refuse', got 'overwrite'\."),
    ],
)
def test_arguments_that_can_not_be_used_are_refused_at_once(
    tmp_path: pathlib.Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tfperf.MLPerfCallback(tmp_path / "run", **arguments)
    assert not list(tmp_path.iterdir())


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


def test_a_directory_that_holds_a_run_is_never_written_to(tmp_path: pathlib.Path) -> None:
    fit(reaching(tmp_path / "run"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    again = reaching(tmp_path / "run")
    with pytest.warns(UserWarning, match=r"run holds another run, .* This run goes to .*/run-2, and "):
        fit(again)
    assert (again.run_dir, done(again).valid) == (tmp_path / "run-2", True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_directory_that_holds_a_run_is_refused_where_asked(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", if_taken="refuse")
    model = fit(callback)
    with pytest.raises(ArgumentError, match=r"run holds another run, and a run is never overwritten\. .* .*run-2, or"):
        reaching(tmp_path / "run", if_taken="refuse")
    fit(callback, model=model)
    assert callback.run_dir == tmp_path / "run-2", "the caller knows of its own first run"


def test_a_copy_is_a_callback_that_has_not_run(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", benchmark="resnet50_mini")
    for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert (twin.log_dir, twin.result, twin.run_dir) == (tmp_path / "run", None, None)
    fit(callback)
    twin = copy.deepcopy(callback)
    assert (twin.result, twin.model, done(callback).valid) == (None, None, True)
    with pytest.warns(UserWarning, match="holds another run"):
        fit(twin)
    assert (callback.run_dir, twin.run_dir) == (tmp_path / "run", tmp_path / "run-2")


def test_many_at_once_get_directories_of_their_own(tmp_path: pathlib.Path) -> None:
    with futures.ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: run_directory._claimed(tmp_path / "run"), range(8)))
    assert len(set(claimed)) == 8


def test_a_model_of_another_keras_is_refused(tmp_path: pathlib.Path) -> None:
    class Sequential:
        """Looks like a model of Keras 2, which may not be installed."""

    Sequential.__module__, Sequential.__qualname__ = "tf_keras.src.engine.sequential", "Sequential"
    callback = reaching(tmp_path / "run")
    message = (
        r"got tf_keras\.src\.engine\.sequential\.Sequential, a model of Keras 2\. Build it with `import keras`; for "
    )
    for give in (callback.set_model, callback.start):
        with pytest.raises(ArgumentError, match=message):
            give(Sequential())
    with pytest.raises(ArgumentError, match=r"models of Keras 3 \(keras\.Model\), got builtins\.int\."):
        callback.set_model(3)


def test_another_backend_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    message = r"measures Keras on TensorFlow; this process runs Keras on jax\. Set KERAS_BACKEND=tensorflow before"
    with pytest.raises(ArgumentError, match=message):
        tfperf.MLPerfCallback(tmp_path / "run")


def test_a_callback_list_made_by_hand_is_measured(tmp_path: pathlib.Path) -> None:
    model, callback = compiled(), reaching(tmp_path / "run")
    model.fit(
        *(INPUTS, TARGETS),
        validation_data=HELD_OUT,
        batch_size=BATCH,
        callbacks=keras.callbacks.CallbackList([callback], model=model, add_history=True),
    )
    assert done(callback).valid
    assert value(tmp_path / "run", "train_samples") == EXAMPLES


def test_a_directory_that_can_not_be_made_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"log_dir .*taken/run can't be made: .*taken is a file\."):
        reaching(tmp_path / "taken" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(ArgumentError, match=r"log_dir .* can't be written: .*locked is read-only\."):
        reaching(tmp_path / "locked" / "run")


def test_other_workers_than_the_chief_write_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", workers)
    callback = reaching(tmp_path / "run", verbose=1)
    fit(callback)
    assert done(callback).status == "success"
    assert not list(tmp_path.iterdir())


def test_a_target_reached_before_a_failure_does_not_make_the_run_valid(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", stop_at_target=False)
    with pytest.raises(ValueError, match="broken"):
        fit(callback, Fail(ValueError("broken"), "epoch_end"))
    outcome = done(callback)
    assert (outcome.valid, outcome.status, outcome.quality.reached) == (False, "success", True)
    assert outcome.reasons == ("model.fit exited with an exception or an interrupt",)
