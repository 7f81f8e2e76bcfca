"""The callback works beside others, inside of others, and in a list made by hand."""

import pathlib
import threading
from typing import Any

import keras
import pytest

from tests.callback.measured_fit import (
    BATCH,
    EXAMPLES,
    HELD_OUT,
    INPUTS,
    TARGETS,
    compiled,
    done,
    fit,
    keys,
    missing,
    reaching,
    value,
)
from tfperf import manifest


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
