"""The steps and examples in a log are those that Keras really trained on."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.callback.measured_fit import (
    BATCH,
    EXAMPLES,
    INPUTS,
    STEPS,
    TARGETS,
    Pieces,
    compiled,
    dataset,
    done,
    fit,
    missing,
    value,
)
from tfperf import result


def generator() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        yield INPUTS[:BATCH], TARGETS[:BATCH]


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
        "count the steps instead.",
    )
    assert train("told", global_batch_size=8).examples_per_s is not None
