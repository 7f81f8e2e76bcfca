"""The choice among compiled forms, with real processes."""

import dataclasses
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples, QualityTarget, Respond, Scoring, no_calibration
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.errors import TfperfError, UnfitSampleError
from tfperf.inference import candidate_build, candidates, stored_samples
from tfperf.inference.candidate_build import CandidateBuild
from tfperf.inference.comparison_samples import ComparedModel, ComparisonSamples
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError

INPUTS = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
TENSORS = (Tensor(name="features", shape=(8,)),), (Tensor(name="probabilities", shape=(4,)),)
TOKENS = (Tensor(name="tokens", shape=(None,)),)
ROLES = ("timed", "calibrating", "judged")
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


def responder(samples: OpenSamples) -> Respond:
    """The most probable class, as float32 [n, 1]."""

    def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray:
        (probabilities,) = outputs
        assert len(probabilities) == len(indices) and max(indices) < samples.total
        if not np.isfinite(probabilities).all():
            raise ValueError("outputs must be finite.")
        return np.ascontiguousarray(probabilities.argmax(axis=1)[:, None], np.float32)

    return respond


def score(responses: Mapping[int, bytes], samples: OpenSamples) -> float:
    """The share of right answers."""
    labels = samples.labels()
    return float(np.mean([np.frombuffer(responses[index], np.float32)[0] == labels[index] for index in responses]))


def open_samples(total: int, calibration: int) -> OpenSamples:
    """Rows of `INPUTS`, none of which belongs to a class."""

    def calibrating(count: int) -> OpenSamples:
        if not calibration:
            no_calibration(count)
        return open_samples(min(count, calibration), 0)

    return OpenSamples(
        total=total,
        load=lambda indices: [(INPUTS[index],) for index in indices],
        labels=lambda: np.zeros(total),
        names=lambda: tuple(map(str, range(total))),
        fingerprint="",
        calibration=calibrating,
    )


def compared(load: Callable[[], object] = load_model, *, share: float = 0.99, calibration: int = 32) -> ComparedModel:
    return ComparedModel(
        load_model=load,
        weights_bytes=4 * (8 * 64 + 64 * 4),
        task=InferenceTask(
            quality=QualityTarget(metric="accuracy", value=share),
            reference_quality=1.0,
            loadgen_model="resnet50",
            submission_benchmark="resnet",
            scenarios=("offline",),
            closed_scenarios=(),
            performance_samples=4,
            server_latency_bound_ns=10**9,
            options=None,
            sources=(),
            build_model=lambda options: None,
            inputs=lambda options: TENSORS[0],
            outputs=lambda options: TENSORS[1],
            open_samples=lambda data, options, data_dir: open_samples(32, 0),
            responder=responder,
            scoring=Scoring(
                score=score,
                write=lambda directory, responses, samples, quality: None,
                files=(),
                agreement=lambda one, other: float(one == other),
            ),
        ),
        options=None,
        samples=open_samples(32, calibration),
    )


def comparison(directory: pathlib.Path, model: ComparedModel | None = None, **fields: Any) -> candidates.FormComparison:
    fields = {"scenario": spec.SingleStream(), **fields}
    return candidates.FormComparison(model=model or compared(), directory=directory, threads=1, **fields)


@pytest.mark.slow
def test_takes_the_best_and_says_why_not_the_others(tmp_path: pathlib.Path) -> None:
    said: list[str] = []
    several = comparison(tmp_path, scenario=spec.Offline(), batch_sizes=(1, 4), considered=(GRAPH, "graph-float16"))
    choice = candidates.choose(several, on_progress=said.append)
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
    assert choice.buckets == (Bucket(1), Bucket(4)) and set(rows[GRAPH].latency_ns) == {"1", "4"}
    assert said[:3] == [f"{FUNCTION}: {step}" for step in ("building", "opening", "measuring batches of 1")]
    assert [path.name for path in tmp_path.iterdir()] == [choice.executable]


@pytest.mark.slow
def test_a_form_whose_process_dies_is_a_row(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=1, calls=tmp_path / "calls", failure="killed")
    choice = candidates.choose(comparison(tmp_path / "forms", compared(load), considered=(GRAPH,)))
    assert choice.executable == FUNCTION
    assert [(row.status, row.reason) for row in choice.candidates] == [
        ("chosen", ""),
        ("unavailable", "its process was killed by SIGKILL, as the system does when memory runs out"),
    ]


def test_a_form_that_does_not_fit_into_memory_is_not_started(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfperf.system.memory.available_bytes", lambda: 1_200_000_000)
    heavy = dataclasses.replace(compared(), weights_bytes=10**8)
    with pytest.raises(TfperfError) as raised:
        candidates.choose(comparison(tmp_path, heavy, executable=GRAPH))
    assert str(raised.value) == (
        "graph-float32 isn't available: it takes about 3.3 GB of memory, 1.2 GB are available."
    )


@pytest.mark.parametrize(
    ("failure", "reason", "timeout_s"),
    [
        ("hungry", r"took .* of memory, more than the 1.1 GB it may take", 60.0),
        ("hung", r"(starting|building) took longer than 1 s", 1.0),
        ("killed", r"its process was killed by SIGKILL", 60.0),
    ],
)
def test_says_how_a_process_failed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, failure: str, reason: str, timeout_s: float
) -> None:
    monkeypatch.setattr("tfperf.system.memory.available_bytes", lambda: 1_200_000_000)
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure=failure)
    with pytest.raises(UnavailableError, match=reason):
        candidate_build.run(build_of(tmp_path, load), on_progress=lambda text: None, timeout_s=timeout_s)


def test_ctrl_c_ends_the_process(tmp_path: pathlib.Path) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        candidate_build.run(build_of(tmp_path, load_model), on_progress=interrupt, timeout_s=60)
    assert children() == before


def test_notices_a_dead_process_though_its_fork_lives_on(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure="forks and is killed")
    begin = time.monotonic()
    with pytest.raises(UnavailableError, match="its process was killed by SIGKILL"):
        candidate_build.run(build_of(tmp_path, load), on_progress=lambda text: None, timeout_s=60)
    assert time.monotonic() - begin < 30


_SCRIPT = """
import functools, pathlib, sys
print("begins")
from tests.inference import test_candidates
from tfperf.inference import candidate_build
load = functools.partial(test_candidates.load_model, works=0, calls=pathlib.Path("calls").absolute())
build = test_candidates.build_of(pathlib.Path(), load)
try:
    candidate_build.run(build, on_progress=print, timeout_s=60)
except candidate_build.UnavailableError as error:
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


def test_the_plain_function_is_required(tmp_path: pathlib.Path) -> None:
    load = functools.partial(load_model, works=0, calls=tmp_path / "calls", failure="raised")
    with pytest.raises(TfperfError, match=r"can't be served in float32.*: RuntimeError: no such layer"):
        candidates.choose(comparison(tmp_path / "forms", compared(load), considered=(GRAPH,)))


def test_does_not_take_an_inaccurate_form(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(comparison(tmp_path, compared(share=2.0), considered=(INT8,)))
    (_, row) = choice.candidates
    assert choice.executable == FUNCTION
    assert row.status == "inaccurate"
    assert re.fullmatch(
        r"it loses \S+ of the quality on 16 calibration samples, at least \S+ with 95% confidence, but only \S+ may be "
        "lost",
        row.reason,
    )


@pytest.mark.slow
def test_takes_the_requested_form_though_it_is_inaccurate(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(comparison(tmp_path, compared(share=2.0), executable=INT8))
    assert [(row.executable, row.status) for row in choice.candidates] == [(FUNCTION, "measured"), (INT8, "chosen")]


def test_refuses_a_requested_form_that_is_not_available(tmp_path: pathlib.Path) -> None:
    assert machine.offered("graph-float16") is not None
    with pytest.raises(TfperfError, match="graph-float16 isn't available: float16 is computed by GPUs"):
        candidates.choose(comparison(tmp_path, executable="graph-float16"))


def test_one_form_in_float32_needs_no_calibration_samples(tmp_path: pathlib.Path) -> None:
    choice = candidates.choose(comparison(tmp_path, compared(calibration=0), executable=FUNCTION))
    (row,) = choice.candidates
    assert (row.status, row.quality, row.agreement) == ("chosen", None, None)
    assert choice.buckets == (Bucket(1),)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [(0, "There are no calibration samples.* Set executable to one form in float32"), (1, "2 or more; got 1")],
)
def test_refuses_to_compare_on_nothing(calibration: int, message: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(TfperfError, match=message):
        candidates.choose(comparison(tmp_path, compared(calibration=calibration)))


@pytest.mark.parametrize(
    ("calibration", "form", "sample"), [(32, "auto", "Sample 0 of the calibration set"), (0, FUNCTION, "Sample 0")]
)
def test_refuses_samples_that_do_not_fit_the_model_before_anything_is_built(
    calibration: int, form: str, sample: str, tmp_path: pathlib.Path
) -> None:
    task = dataclasses.replace(compared().task, inputs=lambda options: TOKENS, lengths=(2, 4))
    model = dataclasses.replace(compared(calibration=calibration), task=task)
    with pytest.raises(UnfitSampleError) as raised:
        candidates.choose(comparison(tmp_path, model, executable=form))
    assert str(raised.value) == (
        f"{sample} has length 8, and the largest length that the model is compiled for is 4. Add a larger one to the "
        "`lengths` of the benchmark's InferenceTask, or truncate samples in its `open_samples`."
    )
    assert not list(tmp_path.iterdir())


def test_judges_on_other_samples_than_those_that_calibrate() -> None:
    used = ComparisonSamples.of(compared(), [Bucket(1)], judges=True)
    rows = {id: {sample[0].tobytes() for sample in samples} for id, samples in vars(used).items() if id in ROLES}
    assert len(rows["calibrating"]) == len(rows["judged"]) == 16
    assert len(rows["timed"]) == 1  # the largest batch
    assert not rows["calibrating"] & rows["judged"]
    assert used.numbers != sorted(used.numbers)
    assert set(used.numbers) == set(range(1, 32, 2))  # both are evenly spaced, if samples are sorted by class


class Sleeper:
    """An executable whose outputs are its inputs, after a time."""

    form = "sleeper"
    threads = 1
    host_memory = True
    encoded: tuple[np.dtype[Any], ...] = (np.dtype(np.float32),)
    inputs: tuple[Tensor, ...] = (Tensor(name="features", shape=(2,)),)
    outputs: tuple[Tensor, ...] = (Tensor(name="features", shape=(2,)),)

    def __init__(self, per_sample_s: float) -> None:
        self.buckets: tuple[Bucket, ...] = ()
        self.runs = 0
        self._per_sample_s = per_sample_s

    def prepare(self, bucket: Bucket) -> None:
        self.buckets += (bucket,)

    def another(self) -> "Sleeper":
        return self

    def encode(self, batch: Batch) -> Batch:
        return batch

    def stage(self, batch: Batch) -> Batch:
        return batch

    def run(self, staged: Batch) -> Batch:
        time.sleep(self._per_sample_s * staged[0].size / 2)
        self.runs += 1
        return (staged[0].copy(),)

    def traces(self) -> int:
        return 0


ZEROS = [(np.zeros(2, np.float32),)] * 8


def measured(sleeper: Sleeper, samples: Sequence[Sample], *buckets: Bucket) -> dict[Bucket, float]:
    return candidate_build._measure(sleeper, samples, buckets, longest_ns=10**7, on_progress=lambda text: None).useful


def test_leaves_out_batch_sizes_that_take_too_long() -> None:
    times = measured(Sleeper(0.004), ZEROS, *map(Bucket, (1, 2, 4, 8)))
    assert list(times) == [Bucket(1), Bucket(2)]
    assert 8e6 <= times[Bucket(2)] < 10**7


def test_keeps_the_first_batch_size_however_long_it_takes() -> None:
    assert list(measured(Sleeper(0.02), ZEROS, Bucket(1), Bucket(2))) == [Bucket(1)]


def test_leaves_out_batch_sizes_at_each_length() -> None:
    sleeper = Sleeper(0.002)
    sleeper.inputs = sleeper.outputs = TOKENS
    samples = [(np.zeros(length, np.float32),) for length in (3, 7, 30)]
    found = measured(sleeper, samples, *(Bucket(batch, length) for batch in (1, 2, 3) for length in (4, 8, 16)))
    assert list(found) == [Bucket(1, 4), Bucket(1, 8), Bucket(1, 16), Bucket(2, 4)]


@pytest.mark.parametrize("disturbed", [1, 2])
def test_a_disturbed_measurement_leaves_out_no_batch_size(disturbed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    measurements = iter([1e6, *[2e8] * disturbed, 2e6, 4e6, 2e7, 2e7, 2e7])
    monkeypatch.setattr(candidate_build, "median_ns", lambda opened, batch: next(measurements))
    found = candidate_build._measure(
        Sleeper(0), ZEROS, [*map(Bucket, (1, 2, 4, 8))], longest_ns=10**7, on_progress=lambda text: None
    )
    assert found == ({Bucket(1): 1e6, Bucket(2): 2e6, Bucket(4): 4e6}, {Bucket(8): 2e7})
    assert next(measurements, None) is None


@pytest.mark.parametrize(
    ("times", "again"),
    [
        ({FUNCTION: (9e6, 4), GRAPH: (5e6, 4), INT8: (4e6, 4)}, [INT8, GRAPH]),
        ({FUNCTION: (8e6, 4), GRAPH: (5e6, 4), INT8: (4e6, 4)}, [INT8, GRAPH, FUNCTION]),
        ({FUNCTION: (8e6, 9), GRAPH: (5e6, 9), INT8: (4e6, 9)}, [INT8, GRAPH]),
        ({FUNCTION: (9e6, 4), GRAPH: (9e6, 4), INT8: (4e6, 4)}, []),
        ({FUNCTION: (5e6, 30), GRAPH: (5e6, 30), INT8: (4e6, 30)}, []),
    ],
)
def test_measures_the_best_forms_again_as_far_as_the_time_allows(
    times: dict[str, tuple[float, float]], again: list[str], tmp_path: pathlib.Path
) -> None:
    nothing = ComparisonSamples(timed=(), length_indices=())
    judged = candidates._Candidates(comparison(tmp_path), nothing, lambda text: None)
    judged.built = {
        form: candidate_build.BuiltCandidate(execution_ns={Bucket(1): time_ns}, memory_bytes=1, reopening_s=reopening_s)
        for form, (time_ns, reopening_s) in times.items()
    }
    builds = [dataclasses.replace(build_of(tmp_path, load_model), form=form) for form in times]
    assert [build.form for build in judged._close(builds)] == again


def test_a_second_process_takes_in_what_the_first_left_out() -> None:
    def built(useful: dict[int, float], too_long: dict[int, float]) -> candidate_build.BuiltCandidate:
        times = ({Bucket(batch): time_ns for batch, time_ns in some.items()} for some in (useful, too_long))
        return candidate_build.BuiltCandidate(
            execution_ns=next(times), too_long_ns=next(times), memory_bytes=1, reopening_s=1
        )

    first, second = built({1: 3.0, 2: 5.0}, {4: 90.0}), built({1: 4.0, 2: 4.0, 4: 7.0}, {8: 12.0})
    merged = built({1: 3.0, 2: 4.0, 4: 7.0}, {8: 12.0})
    assert candidates._better(first, second) == candidates._better(second, first) == merged


def test_instances_run_at_the_same_time_while_one_is_measured() -> None:
    sleeper, copy = Sleeper(0.001), Sleeper(0.001)
    found = candidate_build._measure(
        sleeper, ZEROS, [Bucket(1), Bucket(2)], longest_ns=None, on_progress=lambda text: None, copies=[copy]
    )
    assert list(found.useful) == [Bucket(1), Bucket(2)] == list(copy.buckets)
    assert copy.runs >= 5


class Talkative:
    """A process that reports something now and then, and its measurements in the end."""

    pid = 0

    def __init__(self, reports: int, *, quiet: int) -> None:
        self.said: dict[str, Any] = {}
        self._calls, self._quiet, self._last = 0, quiet, reports * quiet

    def listen(self, timeout_s: float) -> tuple[dict[str, Any], ...]:
        time.sleep(0.02)
        self._calls += 1
        if self._calls % self._quiet:
            return ()
        if self._calls == self._last:
            self.said["built"] = {
                "execution_ns": [[1, None, 5]],
                "too_long_ns": [],
                "memory_bytes": 1,
                "reopening_s": 1,
            }
        return ({"kind": "answered"},)

    def failure(self) -> None:
        return None


def test_a_slow_form_is_given_up_only_if_it_reports_nothing() -> None:
    def watch(process: Any) -> candidate_build.BuiltCandidate:
        return candidate_build._watch(process, lambda text: None, timeout_s=0.5, limit=None)

    assert watch(Talkative(10, quiet=5)).execution_ns == {Bucket(1): 5}  # a second in all
    with pytest.raises(TimeoutError, match="starting"):
        watch(Talkative(1, quiet=1000))


def test_a_slow_form_answers_as_many_samples_as_the_time_allows() -> None:
    slow, said = Sleeper(0.01), []
    slow.prepare(Bucket(1))
    answered = list(candidate_build._answers(slow, ZEROS * 4, on_answers=lambda: said.append(""), most_s=0.1))
    numbers = [number for batch in answered for number in batch.indices]
    assert numbers == list(range(len(said))) and len(numbers) in (8, 16)
    everything = candidate_build._answers(slow, ZEROS * 2, on_answers=lambda: None, most_s=60)
    assert [number for batch in everything for number in batch.indices] == list(range(16))


def test_measures_a_slow_model_once() -> None:
    slow = Sleeper(0.05)
    candidate_build.median_ns(slow, (np.zeros((1, 2), np.float32),), most_s=0.01)
    assert slow.runs == 1


def build_of(directory: pathlib.Path, load: Callable[[], object]) -> CandidateBuild:
    samples = directory / "timed.samples"
    stored_samples.write_samples(samples, [(row,) for row in INPUTS])
    return CandidateBuild(
        form=FUNCTION,
        directory=directory / "form",
        load_model=load,
        inputs=TENSORS[0],
        outputs=TENSORS[1],
        timed=samples,
        buckets=(Bucket(1),),
        longest_ns=None,
        threads=1,
    )


def children() -> list[int]:
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]
