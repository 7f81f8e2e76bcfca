"""Small models that `fit` trains under the callback, and what their runs leave."""

import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfperf
from tfperf import result
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


class Pieces(keras.utils.PyDataset):
    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(index * BATCH, (index + 1) * BATCH)
        return INPUTS[part], TARGETS[part]


def dataset() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((INPUTS, TARGETS)).batch(BATCH)


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
