"""Compiled forms profiled in real processes, and the notes where there is no profile."""

import functools
import os
import pathlib
import signal
from collections.abc import Sequence

import numpy as np
import pytest

from tests import xplanes
from tests.inference import null_models
from tfperf.benchmarks.tensor import Sample, Tensor
from tfperf.errors import UsageError
from tfperf.inference import forms, profiled_form
from tfperf.inference.executable import Bucket
from tfperf.inference.job import ServedModel

TENSORS = (Tensor(name="numbers", shape=(8,)),), (Tensor(name="probabilities", shape=(4,)),)


def build(form: str, directory: pathlib.Path) -> None:
    """A small dense classifier in a form."""
    import keras

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(4, "softmax")])
    forms.build(form, model, directory, inputs=TENSORS[0], outputs=TENSORS[1])


def load(indices: Sequence[int]) -> list[Sample]:
    return [(np.full(8, index, np.float32),) for index in indices]


def opened(form: str, directory: pathlib.Path) -> ServedModel:
    """The form at two batch sizes."""
    executable = forms.open_form(form, directory, buckets=[Bucket(1), Bucket(4)], threads=1)
    return ServedModel(executable=executable, total=8, load=load, respond=null_models.respond)


def is_killed() -> ServedModel:
    os.kill(os.getpid(), signal.SIGKILL)
    return null_models.served()


@pytest.mark.parametrize(("form", "operation"), [("graph-float32", "/Softmax:"), ("xla-float32", "_fusion")])
def test_the_profile_holds_the_steps_and_what_ran_in_them(form: str, operation: str, tmp_path: pathlib.Path) -> None:
    build(form, tmp_path / "form")
    note = profiled_form.take(
        form,
        functools.partial(opened, form, tmp_path / "form"),
        run_dir=tmp_path,
        log=tmp_path / "log",
        environment={"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert note == (
        f"5 executions of {form}, in batches of 4, were profiled before the measurement, in a separate process."
    )
    assert xplanes.steps(tmp_path, "serve") == [0, 1, 2, 3, 4]
    assert any(operation in event.name for event in xplanes.events(tmp_path))


@pytest.mark.parametrize(
    ("broken", "timeout_s", "reason"),
    [
        pytest.param(null_models.cannot_open, 60.0, "RuntimeError: the weights are gone", id="raises"),
        pytest.param(is_killed, 60.0, "its process was killed by SIGKILL, as the system does when memory", id="killed"),
        pytest.param(null_models.never_opens, 0.5, "took longer than 0.5 s", id="hangs"),
    ],
)
def test_a_process_that_fails_is_reported_and_stops_nothing(
    broken: object, timeout_s: float, reason: str, tmp_path: pathlib.Path
) -> None:
    note = profiled_form.take(
        "graph-float32",
        broken,  # type: ignore[arg-type]
        run_dir=tmp_path / "run",
        log=tmp_path / "log",
        environment={},
        timeout_s=timeout_s,
    )
    assert note.startswith(f"There is no profile of graph-float32: {reason}")
    assert not (tmp_path / "run").exists()


def test_litert_that_was_chosen_has_no_profile_and_says_so(tmp_path: pathlib.Path) -> None:
    note = profiled_form.take("litert-int8", null_models.served, run_dir=tmp_path, log=tmp_path / "log", environment={})
    assert note.startswith("There is no profile: litert-int8, which auto chose, runs in LiteRT")
    assert not list(tmp_path.iterdir())


def test_a_requested_litert_form_is_refused() -> None:
    profiled_form.check("auto")
    profiled_form.check("graph-float32")
    with pytest.raises(UsageError, match=r"^--profile: executable litert-float32 runs in LiteRT, .* graph-float32\.$"):
        profiled_form.check("litert-float32")
