"""Training that continues earlier training has no valid time."""

import contextlib
import pathlib
from typing import Any

import keras
import pytest

from tests.callback.measured_fit import STEPS, done, events, fit, reaching, value
from tfperf import result


def test_fit_twice_gives_two_runs_of_which_the_second_is_no_whole_one(tmp_path: pathlib.Path) -> None:
    callback = reaching(tmp_path / "run")
    model = fit(callback)
    assert callback.run_dir == tmp_path / "run"
    fit(callback, model=model)
    assert callback.run_dir == tmp_path / "run-2"
    outcome = result.read(tmp_path / "run-2" / "result.json")
    assert outcome.status == "success"
    assert not outcome.valid
    assert outcome.reasons == (f"the model had already been trained for {STEPS} steps when the clock started",)
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
