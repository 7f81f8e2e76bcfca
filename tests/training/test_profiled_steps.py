"""A few training steps in a profile: before the clock without a trace in the model, or within a run."""

import dataclasses
import itertools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import xplanes
from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.training import loop, profiled_steps, session
from tfperf.training.profiled_steps import ProfiledSteps
from tfperf.training.program import Program

TASK = benchmarks.get("resnet50_mini").training
OPERATIONS = {"Conv2D", "Conv2DBackpropFilter"}
DECODING = "DecodeAndCropJpeg"


@pytest.mark.parametrize(
    ("steps_per_epoch", "steps_per_execution", "expected"),
    [
        pytest.param(100, 1, range(10, 15), id="single steps"),
        pytest.param(100, 4, range(12, 20), id="whole executions"),
        pytest.param(101, 100, range(100, 101), id="a last execution that is short"),
        pytest.param(100, 50, range(50, 100), id="long executions"),
        pytest.param(100, 100, range(100), id="an epoch in one execution"),
        pytest.param(12, 1, range(7, 12), id="a short epoch"),
        pytest.param(3, 1, range(3), id="a very short epoch"),
    ],
)
def test_the_steps_follow_the_first_ten_where_an_epoch_has_as_many(
    steps_per_epoch: int, steps_per_execution: int, expected: range
) -> None:
    found = profiled_steps.window(steps_per_epoch=steps_per_epoch, steps_per_execution=steps_per_execution)
    assert found == expected


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> session.Session:
    """Twenty steps an epoch of a model that compiles in a second."""
    spec = specs.TrainSpec(
        benchmark="resnet50_mini",
        division=specs.Division.INTERNAL,
        global_batch_size=8,
        max_epochs=2,
        optimizer=specs.Sgd(base_learning_rate=0.1),
        data=specs.Data(source=Shapes(train_examples=160, eval_examples=8)),
        model=dataclasses.replace(TASK.options, image_size=32, blocks=(1,), width=4),
        seed=1,
    )
    session.set_globals(spec, seed=1)
    return session.Session(
        spec=spec,
        task=TASK,
        strategy=tf.distribute.OneDeviceStrategy("/cpu:0"),
        data=TASK.open_data(spec.data, spec.model, tmp_path_factory.mktemp("data")),
        seed=1,
    )


@pytest.fixture(scope="module")
def program(trained: session.Session) -> Program:
    """Compiled."""
    built = session.build(trained)
    session.warm_up(trained, built)
    return built


def test_steps_on_synthetic_batches_leave_every_variable_as_it_was(
    trained: session.Session, program: Program, tmp_path: pathlib.Path
) -> None:
    variables = [*program.model.variables, *program.model.optimizer.variables]
    before = [np.array(variable.numpy()).tobytes() for variable in variables]
    note = profiled_steps.on_synthetic_batches(trained, program, tmp_path)
    assert note.startswith("5 steps on synthetic batches were profiled before the clock started")
    assert xplanes.steps(tmp_path, "train") == [0, 1, 2, 3, 4]
    found = xplanes.operations(tmp_path, within="train")
    assert found >= OPERATIONS
    assert DECODING not in found
    assert [np.array(variable.numpy()).tobytes() for variable in variables] == before
    assert program.train.experimental_get_tracing_count() == 1  # type: ignore[attr-defined]


def test_a_worker_that_writes_nothing_takes_part_all_the_same(
    trained: session.Session, program: Program, tmp_path: pathlib.Path
) -> None:
    assert profiled_steps.on_synthetic_batches(trained, program, None).startswith("5 steps on synthetic batches")
    assert not list(tmp_path.iterdir())


def fit(trained: session.Session, program: Program, *callbacks: keras.callbacks.Callback) -> None:
    planned = session.planned(trained, max_epochs=1)
    training, evaluation = session.open_inputs(trained, planned)
    loop.fit(program, planned, train=training, evaluation=evaluation, callbacks=callbacks)


def profiled(run_dir: pathlib.Path) -> ProfiledSteps:
    return ProfiledSteps(run_dir, steps_per_epoch=20, steps_per_execution=1)


@pytest.mark.slow
def test_steps_within_a_run_are_in_the_profile_with_their_input_pipeline(
    trained: session.Session, program: Program, tmp_path: pathlib.Path
) -> None:
    steps = profiled(tmp_path)
    fit(trained, program, steps)
    steps.close()
    assert xplanes.steps(tmp_path, "train") == [10, 11, 12, 13, 14]
    assert xplanes.operations(tmp_path, within="train") >= {*OPERATIONS, DECODING}
    assert steps.note.startswith(
        "The profiler ran within the timed region, in steps 11 to 15: they may be slower than others, and starting it "
    )


class StopAfter(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training after a number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._counted = itertools.count(1)
        self._steps = steps

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if next(self._counted) == self._steps:
            self.model.stop_training = True


def test_a_run_that_ends_among_the_steps_leaves_those_that_were_done(
    trained: session.Session, program: Program, tmp_path: pathlib.Path
) -> None:
    steps = profiled(tmp_path)
    fit(trained, program, steps, StopAfter(12))
    steps.close()
    assert xplanes.steps(tmp_path, "train") == [10, 11]
    assert "in steps 11 to 12:" in steps.note


def test_a_run_that_ends_before_the_steps_says_that_there_is_no_profile(
    trained: session.Session, program: Program, tmp_path: pathlib.Path
) -> None:
    steps = profiled(tmp_path)
    fit(trained, program, steps, StopAfter(4))
    steps.close()
    assert steps.note == "There is no profile: the run ended before step 11, where it was due to start."
    assert not list(tmp_path.iterdir())


def test_training_continues_where_the_profiler_can_not_start(
    trained: session.Session, program: Program, tmp_path: pathlib.Path
) -> None:
    steps = profiled(tmp_path / "ours")
    tf.profiler.experimental.start(str(tmp_path / "other"))
    try:
        fit(trained, program, steps)
    finally:
        steps.close()
        tf.profiler.experimental.stop()
    assert steps.note.startswith(
        "There is no profile: TensorFlow's profiler failed: Another profiler is running. Trying took 0."
    )
    assert not (tmp_path / "ours").exists()
