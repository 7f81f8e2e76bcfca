"""A training loop written by hand is measured as `fit` is."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfperf
from tfperf import manifest, result
from tfperf.errors import ArgumentError
from tfperf.reporting import jsonl


def keys_in_the_log(run_dir: pathlib.Path) -> list[str]:
    found = [event.key for event in jsonl.read_events(run_dir / "events.jsonl") if event.key != "tracked_stats"]
    return found[found.index("run_start") :]


def test_reaches_the_target(tmp_path: pathlib.Path) -> None:
    with tfperf.measure(tmp_path / "run", target=0.9, global_batch_size=8) as run:
        run.start()
        for quality in (0.5, 0.95, 0.99):
            for _ in range(4):
                run.step_end(logs={"loss": np.float32(0.1)})
            if run.evaluated(quality):
                break
    outcome = run.result
    assert outcome is not None
    assert (outcome.valid, outcome.epochs, outcome.quality.value) == (True, 2, 0.95)
    assert outcome.examples_per_s is not None
    assert result.read(tmp_path / "run" / "result.json") == outcome
    assert manifest.differences(tmp_path / "run") == ()
    epoch = ["block_start", "epoch_start", "epoch_stop", "eval_start", "eval_accuracy", "eval_stop", "block_stop"]
    first = [*epoch[:3], "train_samples", *epoch[3:]]
    assert keys_in_the_log(tmp_path / "run") == ["run_start", *first, *epoch, "run_stop"]


def test_times_only_without_a_target(tmp_path: pathlib.Path) -> None:
    run = tfperf.measure(tmp_path / "run")
    run.start()
    for _ in range(20):
        run.step_end(5, examples=40)
    outcome = run.stop()
    assert outcome.reasons == ("no target was set: this run is timed only",)
    assert (outcome.epochs, outcome.examples_per_s is not None) == (1, True)
    assert {"step time p50", "first execution", "training"} <= {each.name for each in outcome.measurements}


def test_unknown_examples_are_not_guessed(tmp_path: pathlib.Path) -> None:
    run = tfperf.measure(tmp_path / "run")
    run.start()
    for _ in range(5):
        run.step_end()
    assert run.stop().examples_per_s is None
    assert "train_samples" not in keys_in_the_log(tmp_path / "run")


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("broken"), "ValueError: broken"), (KeyboardInterrupt(), "interrupted")]
)
def test_an_exception_leaves_an_aborted_log(tmp_path: pathlib.Path, error: BaseException, reason: str) -> None:
    with pytest.raises(type(error)), tfperf.measure(tmp_path / "run", target=0.9) as run:
        run.start()
        run.step_end()
        raise error
    outcome = result.read(tmp_path / "run" / "result.json")
    assert (outcome.status, outcome.reasons) == ("aborted", (reason,))
    assert keys_in_the_log(tmp_path / "run")[-3:] == ["epoch_stop", "block_stop", "run_stop"]


def test_a_loss_is_reached_from_above(tmp_path: pathlib.Path) -> None:
    run = tfperf.measure(tmp_path / "run", monitor="loss", target=0.2)
    run.start()
    run.step_end()
    assert not run.evaluated(0.3)
    run.step_end()
    assert run.evaluated(0.2)
    assert run.stop().valid


def test_the_clock_must_be_started(tmp_path: pathlib.Path) -> None:
    run = tfperf.measure(tmp_path / "run")
    for call in (run.step_end, run.epoch_end, run.stop, lambda: run.evaluated(0.5)):
        with pytest.raises(ArgumentError, match=r"start\(\) was not called: the clock does not run\."):
            call()
    with pytest.raises(ArgumentError, match="Nothing was measured"), run:
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"monitor": "score", "target": 0.9}, r"Whether 'score' should rise or fall is unknown\."),
        ({"target": 97}, r"For 97 % write target=0\.97\."),
        ({"benchmark": "resnet51"}, r"Did you mean resnet50\?"),
    ],
)
def test_arguments_that_can_not_be_used_are_refused(
    tmp_path: pathlib.Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tfperf.measure(tmp_path / "run", **arguments)


def test_wrong_calls_are_refused(tmp_path: pathlib.Path) -> None:
    run = tfperf.measure(tmp_path / "run", benchmark="resnet50_mini")
    run.start()
    with pytest.raises(ArgumentError, match="twice"):
        run.start()
    with pytest.raises(ArgumentError, match="before any step"):
        run.evaluated(0.5)
    with pytest.raises(ArgumentError, match="steps must be a whole number, 1 or more, got 0"):
        run.step_end(0)
    assert run.stop().quality.target == 0.8


def test_a_loop_run_again_gets_its_own_directory(tmp_path: pathlib.Path) -> None:
    def cell() -> pathlib.Path:
        with tfperf.measure(tmp_path / "run") as run:
            run.start()
            run.step_end()
        return run.run_dir

    assert cell() == tmp_path / "run"
    with pytest.warns(UserWarning, match=r"run holds another run, .* This run goes to .*/run-2, and "):
        assert cell() == tmp_path / "run-2"
    with pytest.raises(ArgumentError, match="run holds another run"):
        tfperf.measure(tmp_path / "run", if_taken="refuse")


@pytest.mark.parametrize("what", ["model", "optimizer"])
def test_reads_the_rate_of_an_optimizer_under_a_strategy(
    tmp_path: pathlib.Path, two_cpus: tuple[str, str], what: str
) -> None:
    strategy = tf.distribute.MirroredStrategy(two_cpus, cross_device_ops=tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.25), "mse")
    with tfperf.measure(tmp_path / "run") as run:
        run.start(model if what == "model" else model.optimizer)
        run.step_end()
    found = jsonl.read_events(tmp_path / "run" / "events.jsonl")
    assert next(event.value for event in found if event.key == "opt_base_learning_rate") == 0.25
    assert [event.value["learning_rate"] for event in found if event.key == "tracked_stats"] == [0.25]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.step_end(examples=-5), r"examples must be a whole number, 0 or more, got -5\."),
        (lambda run: run.step_end(examples="64"), r"examples must be a whole number, 0 or more, got '64'\."),
        (lambda run: run.step_end(examples=1.5), r"examples must be a whole number, 0 or more, got 1\.5\."),
        (lambda run: run.step_end(1.5), r"steps must be a whole number, 1 or more, got 1\.5\."),
        (lambda run: run.step_end(True), r"steps must be a whole number, 1 or more, got True\."),
        (lambda run: run.evaluated(None), r"evaluated\(\) needs the value of accuracy as a number, got None\."),
        (lambda run: run.evaluated("high"), r"evaluated\(\) needs the value of accuracy as a number, got 'high'\."),
        (lambda run: run.evaluated(87.7), r"accuracy must be a number from 0 to 1, got 87\.7\. Divide a percentage by"),
        (lambda run: run.evaluated(-0.1), r"accuracy must be a number from 0 to 1, got -0\.1\."),
        (lambda run: run.evaluated(float("inf")), r"accuracy must be a number from 0 to 1, got inf\."),
    ],
)
def test_numbers_that_can_not_be_true_are_refused(tmp_path: pathlib.Path, call: Any, message: str) -> None:
    run = tfperf.measure(tmp_path / "run", target=0.9)
    run.start()
    run.step_end(examples=np.int64(8))
    with pytest.raises(ArgumentError, match=message):
        call(run)
    assert not run.evaluated(float("nan"))
    assert run.stop().quality.value is None


def test_a_model_trained_before_has_no_valid_time(tmp_path: pathlib.Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")
    for path, started in (("fresh", model), ("trained", model), ("optimizer", model.optimizer)):
        with tfperf.measure(tmp_path / path, monitor="loss", target=9.0) as run:
            run.start(started)
            model.train_on_batch(x, y)
            run.step_end()
            assert run.evaluated(0.1)
        before = {"fresh": None, "trained": "1 step", "optimizer": "2 steps"}[path]
        reasons = () if before is None else (f"the model had already been trained for {before} when the clock started",)
        assert run.result is not None
        assert (run.result.valid, run.result.reasons) == (before is None, reasons)


def test_an_optimizer_that_never_steps_is_noted(tmp_path: pathlib.Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("rmsprop", "mse", run_eagerly=True)
    with tfperf.measure(tmp_path / "unused") as run:
        run.start(model)
        run.step_end()
    note = "The optimizer that start() got, RMSprop, made no step: its values in the log are not the training's."
    assert run.result is not None
    assert note in run.result.notes
    with tfperf.measure(tmp_path / "used") as run:
        run.start(model)
        model.train_on_batch(np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32"))
        run.step_end()
    assert run.result is not None
    assert note not in run.result.notes


def test_only_the_model_of_an_mlperf_benchmark_bears_its_name(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ArgumentError, match=r"target=0\.1 is not that of resnet50, 0\.759\. Leave target out"):
        tfperf.measure(tmp_path / "run", benchmark="resnet50", target=0.1)
    small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    run = tfperf.measure(tmp_path / "run", benchmark="resnet50", target=0.759)
    with pytest.raises(ArgumentError, match=r"for a model of 25,557,032 trainable parameters, this one has 3\."):
        run.start(small)
    with pytest.raises(ArgumentError, match=r"benchmark='resnet50' needs the model: write start\(model\)"):
        run.start()
    assert not list(tmp_path.iterdir())
