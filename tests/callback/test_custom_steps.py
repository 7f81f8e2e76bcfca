"""What a model's own `train_step` trains on, and with which optimizer, is told only where it is known."""

import pathlib
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

import tfperf
from tests.callback.measured_fit import (
    BATCH,
    INPUTS,
    TARGETS,
    Pieces,
    Steps,
    compiled,
    dataset,
    done,
    events,
    fit,
    reaching,
    value,
)


class Adversaries(Steps):
    """Trains with optimizers that it was not compiled with."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.2)

    def trains(self) -> keras.optimizers.Optimizer:
        return self.first


def test_the_examples_of_a_custom_train_step_are_not_guessed(tmp_path: pathlib.Path) -> None:
    unknown = reaching(tmp_path / "unknown", monitor="val_loss", target=1e9)
    fit(unknown, model=compiled(model=Steps(), metrics=None))
    assert (done(unknown).valid, done(unknown).examples_per_s) == (True, None)
    assert done(unknown).config["model"]["parameters"] == 10, "it was not built before"
    assert value(tmp_path / "unknown", "global_batch_size") is None
    told = reaching(tmp_path / "told", monitor="val_loss", target=1e9, global_batch_size=BATCH)
    fit(told, model=compiled(model=Steps(), metrics=None))
    assert done(told).examples_per_s is not None
    assert value(tmp_path / "told", "global_batch_size") == BATCH


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = batch == 1


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
        (lambda: {"steps_per_epoch": 2}, 16, False),
        (lambda: {"x": dataset(), "steps_per_epoch": 2}, 16, False),
        (lambda: {"steps_per_epoch": 9}, 32, False),
        (lambda: {"x": INPUTS[:24], "y": TARGETS[:24], "epochs": 1, "steps_per_epoch": 2}, 16, True),
        (lambda: {"epochs": 1, "callbacks": [Stop()]}, 16, True),
    ],
    ids=[
        *("arrays", "dataset", "prefetched", "mapped", "static", "filtered", "PyDataset"),
        *("part", "part of a dataset", "too little", "part in whole batches", "stopped"),
    ],
)
def test_a_partial_last_batch_of_a_custom_step_is_no_whole_one(
    tmp_path: pathlib.Path, kind: Callable[[], dict[str, Any]], examples: int, known: bool
) -> None:
    model = compiled(model=Steps(), metrics=None)
    callback = tfperf.MLPerfCallback(tmp_path / "run", global_batch_size=BATCH)
    options = kind()
    fit(callback, *options.pop("callbacks", ()), model=model, **options)
    run = callback._run
    assert run is not None
    assert {epoch.examples for epoch in run.meter.epochs} == {examples}
    assert value(tmp_path / "run", "train_samples") == (examples if known else None)
    assert any("counts as a full one" in note for note in done(callback).notes) is not known


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
