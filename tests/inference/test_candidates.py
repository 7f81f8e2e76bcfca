"""The choice among compiled forms, with real processes."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from tfperf import spec
from tfperf.errors import TfperfError
from tfperf.inference import candidates, objective, trial
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError

INPUTS = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
FUNCTION, GRAPH, INT8 = "function-float32", "graph-float32", "litert-int8"


def load_model(*, works: int = 9, calls: pathlib.Path | None = None, failure: str = "") -> object:
    """A small dense classifier; from the call after `works` on, which a file counts, it fails in some way instead."""
    if calls is not None:
        with calls.open("a") as file:
            file.write(".")
        if len(calls.read_text()) > works:
            fail(failure)
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(4, "softmax")])


def fail(failure: str) -> None:
    match failure:
        case "forks and is killed":
            if not os.fork():
                threading.Event().wait()
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hungry":
            held = []
            while True:
                held.append(np.ones(2**22))
        case "hung":
            threading.Event().wait()
    raise RuntimeError("no such layer")


def respond(outputs: np.ndarray) -> np.ndarray:
    """The most probable class, as float32 [n, 1]."""
    if not np.isfinite(outputs).all():
        raise ValueError("outputs must be finite.")
    return np.ascontiguousarray(outputs.argmax(axis=1)[:, None], np.float32)


def score(responses: Mapping[int, bytes], labels: np.ndarray) -> float:
    """The share of right answers."""
    return float(np.mean([np.frombuffer(responses[index], np.float32)[0] == labels[index] for index in responses]))


def subject(load: Callable[[], object] = load_model, *, share: float = 0.99) -> candidates.Subject:
    return candidates.Subject(
        load_model=load,  # type: ignore[arg-type]
        weights_bytes=4 * (8 * 64 + 64 * 4),
        inputs=INPUTS,
        labels=np.zeros(len(INPUTS)),
        respond=respond,
        score=score,
        quality_share=share,
    )


@pytest.mark.slow
def test_takes_the_best_and_says_why_not_the_others(tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    choice = candidates.choose(
        subject(),
        scenario=spec.Offline(),
        directory=tmp_path,
        threads=1,
        batch_sizes=(1, 4),
        considered=(GRAPH, "graph-float16"),
        on_progress=said.append,
    )
    rows = {row.executable: row for row in choice.candidates}
    assert list(rows) == [FUNCTION, GRAPH, "graph-float16"]
    assert [row.executable for row in choice.candidates if row.status == "chosen"] == [choice.executable]
    assert rows["graph-float16"].status == "unavailable"
    assert rows["graph-float16"].reason == "float16 is computed by GPUs, and no NVIDIA GPU is visible here"
    (other,) = {FUNCTION, GRAPH} - {choice.executable}
    assert rows[other].status == "measured"
    assert rows[other].reason.endswith(f"times as long as {choice.executable}")
    assert rows[GRAPH].agreement == 1 and rows[GRAPH].quality == rows[FUNCTION].quality
    assert (rows[GRAPH].memory_bytes or 0) > 10**8
    assert choice.batch_sizes == (1, 4) and set(rows[GRAPH].latency_ns) == {"1", "4"}
    assert said[:3] == [f"{FUNCTION}: {step}" for step in ("building", "opening", "measuring batches of 1")]
    assert [path.name for path in tmp_path.iterdir()] == [choice.executable]


@pytest.mark.slow
def test_a_form_whose_process_dies_is_a_row(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=1, calls=tmp_path / "calls", failure="killed")
    choice = candidates.choose(
        subject(load), scenario=spec.SingleStream(), directory=tmp_path / "forms", threads=1, considered=(GRAPH,)
    )
    assert choice.executable == FUNCTION
    assert [(row.status, row.reason) for row in choice.candidates] == [
        ("chosen", ""),
        ("unavailable", "its process was killed by SIGKILL, as the system does when memory runs out"),
    ]


def test_a_form_that_does_not_fit_into_memory_is_not_started(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfperf.system.memory.available_bytes", lambda: 1_200_000_000)
    heavy = candidates.Subject(**{**vars(subject()), "weights_bytes": 10**8})
    with pytest.raises(TfperfError) as raised:
        candidates.choose(heavy, scenario=spec.SingleStream(), directory=tmp_path, threads=1, executable=GRAPH)
    assert str(raised.value) == (
        "graph-float32 can't be had: building it takes about 3.8 GB of memory, 1.2 GB are available."
    )


@pytest.mark.parametrize(
    ("failure", "reason", "timeout_s"),
    [
        ("hungry", r"took .* of memory, more than the 1.1 GB it may take", 60.0),
        ("hung", r"took longer than 1 s", 1.0),
        ("killed", r"its process was killed by SIGKILL", 60.0),
    ],
)
def test_a_process_that_fails_is_told_apart(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, failure: str, reason: str, timeout_s: float
) -> None:
    monkeypatch.setattr("tfperf.system.memory.available_bytes", lambda: 1_200_000_000)
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure=failure)
    with pytest.raises(UnavailableError, match=reason):
        trial.run(trial_of(tmp_path, load), on_progress=lambda text: None, timeout_s=timeout_s)


def test_ctrl_c_ends_the_process(tmp_path: pathlib.Path) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        trial.run(trial_of(tmp_path, load_model), on_progress=interrupt, timeout_s=60)
    assert children() == before


def test_a_process_that_dies_is_told_though_one_that_it_forked_lives_on(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure="forks and is killed")
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match="its process was killed by SIGKILL"):
        trial.run(trial_of(tmp_path, load), on_progress=lambda text: None, timeout_s=60)
    assert time.monotonic() - begin < 30


_SCRIPT = """
import functools, pathlib, sys
print("begins")
from tests.inference import test_candidates
from tfperf.inference import trial
load = functools.partial(test_candidates.load_model, works=0, calls=pathlib.Path("calls").absolute())
asked = test_candidates.trial_of(pathlib.Path(), load)
try:
    trial.run(asked, on_progress=print, timeout_s=60)
except trial.UnavailableError as error:
    print(error)
"""


def test_a_script_without_a_guard_can_try_a_form(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent.parent.parent)}
    ended = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert ended.stdout.splitlines() == ["begins", "building", "RuntimeError: no such layer"]


def test_the_plain_function_can_not_be_done_without(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure="raised")
    with pytest.raises(TfperfError, match=r"can't be served in float32.*: RuntimeError: no such layer"):
        candidates.choose(
            subject(load), scenario=spec.SingleStream(), directory=tmp_path, threads=1, considered=(FUNCTION,)
        )


def test_does_not_take_an_inaccurate_form(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(
        subject(share=2.0), scenario=spec.SingleStream(), directory=tmp_path, threads=1, considered=(INT8,)
    )
    (_, row) = choice.candidates
    assert choice.executable == FUNCTION
    assert row.status == "inaccurate"
    assert row.reason.startswith("its quality on calibration samples is ")


@pytest.mark.slow
def test_takes_the_form_that_is_asked_for_though_it_is_inaccurate(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(
        subject(share=2.0), scenario=spec.SingleStream(), directory=tmp_path, threads=1, executable=INT8
    )
    assert [(row.executable, row.status) for row in choice.candidates] == [(FUNCTION, "measured"), (INT8, "chosen")]


def test_refuses_the_form_that_is_asked_for_and_can_not_be_had(tmp_path: pathlib.Path) -> None:
    assert machine.offered("graph-float16") is not None
    with pytest.raises(TfperfError, match="graph-float16 can't be had: float16 is computed by GPUs"):
        candidates.choose(
            subject(), scenario=spec.SingleStream(), directory=tmp_path, threads=1, executable="graph-float16"
        )


def test_refuses_to_compare_on_nothing() -> None:
    with pytest.raises(ValueError, match="at least 1 calibration sample"):
        candidates.Subject(**{**vars(subject()), "inputs": INPUTS[:0]})


class Sleeper:
    """An executable whose outputs are its inputs, after a time."""

    form, input_shape, input_dtype, threads = "sleeper", (2,), np.dtype(np.float32), 1

    def __init__(self, per_sample_s: float) -> None:
        self.batch_sizes: tuple[int, ...] = ()
        self.runs = 0
        self._per_sample_s = per_sample_s

    def prepare(self, batch_size: int) -> None:
        self.batch_sizes += (batch_size,)

    def encode(self, samples: np.ndarray) -> np.ndarray:
        return samples

    def stage(self, inputs: np.ndarray) -> np.ndarray:
        return inputs

    def run(self, staged: np.ndarray) -> np.ndarray:
        time.sleep(self._per_sample_s * len(staged))
        self.runs += 1
        return staged.copy()

    def traces(self) -> int:
        return 0


def test_leaves_out_batch_sizes_that_take_too_long() -> None:
    times = trial._measure(
        Sleeper(0.004), np.zeros((8, 2), np.float32), (1, 2, 4, 8), longest_ns=10**7, on_progress=lambda text: None
    )
    assert list(times) == [1, 2]
    assert times[2] == pytest.approx(8e6, rel=0.5)


def test_keeps_the_first_batch_size_however_long_it_takes() -> None:
    times = trial._measure(
        Sleeper(0.02), np.zeros((8, 2), np.float32), (1, 2), longest_ns=10**7, on_progress=lambda text: None
    )
    assert list(times) == [1]


def test_measures_a_slow_model_once() -> None:
    slow = Sleeper(0.05)
    trial.median_ns(slow, np.zeros((1, 2), np.float32), most_s=0.01)
    assert slow.runs == 1


def test_fills_up_the_last_batch_and_cuts_its_outputs() -> None:
    sleeper = Sleeper(0)
    sleeper.prepare(4)
    samples = np.arange(12, dtype=np.float32).reshape(6, 2)
    np.testing.assert_array_equal(trial.outputs_of(sleeper, samples), samples)
    assert sleeper.runs == 2


@pytest.mark.parametrize(
    ("scenario", "sizes", "cost"),
    [
        (spec.SingleStream(), (1,), 10.0),
        (spec.MultiStream(samples_per_query=6), (6,), 20.0),
        (spec.Server(), (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64), 5.0),
        (spec.Offline(), (1, 4, 16, 64), 5.0),
    ],
)
def test_what_a_scenario_wants(scenario: spec.Scenario, sizes: tuple[int, ...], cost: float) -> None:
    assert objective.batch_sizes_for(scenario) == sizes
    assert objective.batch_sizes_for(scenario, asked=(3,)) == (3,)
    execution_ns = {3: 15.0, 6: 20.0 if sizes == (6,) else 40.0} if sizes != (1,) else {1: 10.0}
    assert objective.cost_ns(scenario, execution_ns) == (cost if sizes != (6,) else 20.0)


def test_server_batches_take_half_the_bound_at_most() -> None:
    assert objective.longest_execution_ns(spec.Server(), latency_bound_ns=15_000_000) == 7_500_000
    assert objective.longest_execution_ns(spec.SingleStream(), latency_bound_ns=15_000_000) is None


def trial_of(directory: pathlib.Path, load: Callable[[], object]) -> trial.Trial:
    samples = directory / "samples.npy"
    np.save(samples, INPUTS)
    return trial.Trial(
        form=FUNCTION,
        directory=directory / "form",
        load_model=load,  # type: ignore[arg-type]
        samples=samples,
        batch_sizes=(1,),
        longest_ns=None,
        threads=1,
    )


def children() -> list[int]:
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]
