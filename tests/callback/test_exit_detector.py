"""A `fit` that ends with an exception leaves an aborted run, however it ends."""

import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import keras
import pytest

from tests.callback.measured_fit import done, fit, keys, missing, reaching, value
from tfperf import result
from tfperf.compliance import checker


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


def test_a_target_reached_before_a_failure_does_not_make_the_run_valid(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run", stop_at_target=False)
    with pytest.raises(ValueError, match="broken"):
        fit(callback, Fail(ValueError("broken"), "epoch_end"))
    outcome = done(callback)
    assert (outcome.valid, outcome.status, outcome.quality.reached) == (False, "success", True)
    assert outcome.reasons == ("model.fit exited with an exception or an interrupt",)
