"""Profiles hold the operations that ran, and a profiler that fails stops nothing."""

import pathlib
from collections.abc import Iterator

import pytest
import tensorflow as tf

from tests import xplanes
from tfperf.system import profiler


@pytest.fixture
def other_profile(tmp_path: pathlib.Path) -> Iterator[None]:
    """A profile that somebody else is taking."""
    tf.profiler.experimental.start(str(tmp_path / "other"))
    yield
    tf.profiler.experimental.stop()


@tf.function
def softmax_of_square(matrix: tf.Tensor) -> tf.Tensor:
    return tf.nn.softmax(tf.matmul(matrix, matrix))


def work() -> float:
    """Two marked steps."""
    for number in range(2):
        with profiler.step("mine", number):
            answer = softmax_of_square(tf.eye(64)).numpy()
    return float(answer[0, 0])


def test_a_profile_holds_the_steps_and_their_operations(tmp_path: pathlib.Path) -> None:
    expected = work()
    with profiler.Profile(tmp_path) as profile:
        answer = work()
    assert (profile.failure, profile.running, answer) == (None, False, expected)
    assert profile.overhead_s > 0
    assert xplanes.steps(tmp_path, "mine") == [0, 1]
    assert {"MatMul", "Softmax"} <= xplanes.operations(tmp_path, within="mine")


@pytest.mark.usefixtures("other_profile")
def test_where_another_profile_is_taken_the_work_goes_on_without_one(tmp_path: pathlib.Path) -> None:
    with profiler.Profile(tmp_path) as profile:
        assert not profile.running
        work()
    assert profile.failure == "TensorFlow's profiler failed: Another profiler is running"
    assert not (tmp_path / "plugins").exists()


def test_a_profile_that_can_not_be_written_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "plugins").write_text("a file, where a folder has to be", encoding="utf-8")
    with profiler.Profile(tmp_path) as profile:
        assert profile.running
        work()
    assert profile.failure is not None
    assert profile.failure.startswith("TensorFlow's profiler failed: ")
    with profiler.Profile(tmp_path / "elsewhere") as again:
        work()
    assert again.failure is None


def test_work_that_fails_leaves_its_profile_and_no_profiler_running(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError), profiler.Profile(tmp_path / "first"):
        work()
        _ = 1 / 0
    assert xplanes.steps(tmp_path / "first", "mine") == [0, 1]
    with profiler.Profile(tmp_path / "second") as profile:
        work()
    assert profile.failure is None
