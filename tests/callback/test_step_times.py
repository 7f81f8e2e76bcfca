"""Step times leave out the first execution, and say how long the steps waited for their input."""

import pathlib
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.callback.measured_fit import EXAMPLES, STEPS, compiled, dataset, done, events, fit, missing


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
