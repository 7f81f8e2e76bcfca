"""One form, built and measured in a process."""

import functools
import itertools
import os
import pathlib
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.inference.sleeper import Sleeper
from tests.inference.small_classifier import build_of, load_model
from tfperf import spec
from tfperf.benchmarks.tensor import Batch, Sample, Tensor
from tfperf.inference import candidate_build
from tfperf.inference.executable import Bucket
from tfperf.inference.forms.machine import UnavailableError

TOKENS = (Tensor(name="tokens", shape=(None,)),)
ZEROS = [(np.zeros(2, np.float32),)] * 8


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
from tests.inference import small_classifier
from tfperf.inference import candidate_build
load = functools.partial(small_classifier.load_model, works=0, calls=pathlib.Path("calls").absolute())
build = small_classifier.build_of(pathlib.Path(), load)
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


def measured(sleeper: Sleeper, samples: Sequence[Sample], *buckets: Bucket) -> dict[Bucket, float]:
    return candidate_build._measure(sleeper, samples, buckets, longest_ns=10**7, on_progress=lambda text: None).useful


def test_leaves_out_batch_sizes_that_take_too_long() -> None:
    times = measured(Sleeper(0.0026), ZEROS, *map(Bucket, (1, 2, 4, 8)))  # 10.4 ms for 4; a busy machine adds some
    assert list(times) == [Bucket(1), Bucket(2)]
    assert 5.2e6 <= times[Bucket(2)] < 10**7


def test_keeps_the_first_batch_size_however_long_it_takes() -> None:
    assert list(measured(Sleeper(0.02), ZEROS, Bucket(1), Bucket(2))) == [Bucket(1)]


def test_leaves_out_batch_sizes_at_each_length() -> None:
    sleeper = Sleeper(0.0017)
    sleeper.inputs = sleeper.outputs = TOKENS
    samples = [(np.zeros(length, np.float32),) for length in (3, 7, 30)]
    found = measured(sleeper, samples, *(Bucket(batch, length) for batch in (1, 2, 3) for length in (4, 8, 16)))
    assert list(found) == [Bucket(1, 4), Bucket(1, 8), Bucket(1, 16), Bucket(2, 4)]


@pytest.mark.parametrize("disturbed", [1, 2])
def test_a_disturbed_measurement_leaves_out_no_batch_size(disturbed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    measurements = iter([1e6, *[2e8] * disturbed, 2e6, 4e6, 2e7, 2e7, 2e7])
    monkeypatch.setattr(candidate_build, "median_ns", lambda opened, batch, most_s: next(measurements))
    found = candidate_build._measure(
        Sleeper(0), ZEROS, [*map(Bucket, (1, 2, 4, 8))], longest_ns=10**7, on_progress=lambda text: None
    )
    assert found == ({Bucket(1): 1e6, Bucket(2): 2e6, Bucket(4): 4e6}, {Bucket(8): 2e7}, "")
    assert next(measurements, None) is None


def test_a_batch_size_that_the_smaller_ones_foretell_to_take_far_too_long_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measurements = itertools.chain([1e6], itertools.repeat(8e6))
    monkeypatch.setattr(candidate_build, "median_ns", lambda opened, batch, most_s: next(measurements))
    sleeper = Sleeper(0)
    found = candidate_build._measure(
        sleeper, ZEROS, [*map(Bucket, (1, 4, 16, 64))], longest_ns=10**7, on_progress=lambda text: None
    )
    assert (found.useful, sleeper.buckets) == ({Bucket(1): 1e6, Bucket(4): 8e6}, (Bucket(1), Bucket(4)))
    assert found.too_long == {Bucket(16): pytest.approx(36e6)}


def test_a_disturbed_measurement_foretells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    measurements = iter([1e6, 8e6, 2e6, 5e6, 9e6])  # the second is disturbed, and 2e6 is that size again
    monkeypatch.setattr(candidate_build, "median_ns", lambda opened, batch, most_s: next(measurements))
    found = candidate_build._measure(
        Sleeper(0), ZEROS, [*map(Bucket, (1, 4, 16, 32))], longest_ns=10**7, on_progress=lambda text: None
    )
    assert found.useful == {Bucket(1): 1e6, Bucket(4): 2e6, Bucket(16): 5e6, Bucket(32): 9e6}
    assert found.too_long == {}


def test_a_disturbed_measurement_gives_up_no_form(monkeypatch: pytest.MonkeyPatch) -> None:
    measurements = itertools.chain([9e6, 2e6], itertools.repeat(2e6))
    monkeypatch.setattr(candidate_build, "median_ns", lambda opened, batch, most_s: next(measurements))
    sleeper = Sleeper(0)
    sleeper.inputs = sleeper.outputs = TOKENS
    lengths = (4, 8, 16)
    rival = candidate_build.Rival(
        form="graph-float32",
        execution_ns={Bucket(1, length): 2e6 for length in lengths},
        scenario=spec.SingleStream(),
    )
    found = candidate_build._measure(
        sleeper,
        [(np.zeros(length, np.float32),) for length in lengths],
        [Bucket(1, length) for length in lengths],
        longest_ns=None,
        on_progress=lambda text: None,
        length_shares={4: 0.2, 8: 0.2, 16: 0.6},
        rival=rival,
    )
    assert found.much_slower == ""
    assert found.useful == {Bucket(1, length): 2e6 for length in lengths}


@pytest.mark.parametrize(
    ("rival_ns", "measured_lengths", "reason"),
    [
        (2e6, {16}, "takes 2.00 times as long as graph-float32 at length 16, and was measured no further"),
        (3e6, {4, 8, 16}, ""),
    ],
)
def test_a_form_that_is_much_slower_at_the_commonest_length_is_measured_no_further(
    rival_ns: float, measured_lengths: set[int], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_build, "median_ns", lambda opened, batch, most_s: 4e6)
    sleeper = Sleeper(0)
    sleeper.inputs = sleeper.outputs = TOKENS
    rival = candidate_build.Rival(
        form="graph-float32",
        execution_ns={Bucket(1, length): rival_ns for length in (4, 8, 16)},
        scenario=spec.SingleStream(),
    )
    found = candidate_build._measure(
        sleeper,
        [(np.zeros(3, np.float32),)],
        [Bucket(1, length) for length in (4, 8, 16)],
        longest_ns=None,
        on_progress=lambda text: None,
        length_shares={4: 0.2, 8: 0.2, 16: 0.6},
        rival=rival,
    )
    assert {bucket.length for bucket in found.useful} == measured_lengths
    assert found.much_slower == reason


def test_judged_samples_run_in_the_smallest_batches_that_are_efficient() -> None:
    times = {Bucket(1, 8): 10.0, Bucket(4, 8): 20.0, Bucket(16, 8): 76.0, Bucket(1, 32): 30.0, Bucket(4, 32): 118.0}
    assert candidate_build._smallest_efficient(times) == {8: 4, 32: 1}


def test_instances_run_at_the_same_time_while_one_is_measured() -> None:
    class Meeting(Sleeper):
        """Runs once the copy has run, too."""

        def run(self, staged: Batch) -> Batch:
            runs, deadline = copy.runs, time.monotonic() + 30
            while copy.runs == runs:
                assert time.monotonic() < deadline, "the copy does not run"
                time.sleep(0.001)
            return super().run(staged)

    sleeper, copy = Meeting(0.001), Sleeper(0.001)
    found = candidate_build._measure(
        sleeper, ZEROS, [Bucket(1), Bucket(2)], longest_ns=None, on_progress=lambda text: None, copies=[copy]
    )
    assert list(found.useful) == [Bucket(1), Bucket(2)] == list(copy.buckets)


class Talkative:
    """A process that reports something now and then, and its measurements in the end.

    Attributes:
        now_s: the time, which passes only while somebody listens.
    """

    pid = 0

    def __init__(self, reports: int, *, quiet: int) -> None:
        self.said: dict[str, Any] = {}
        self.now_s = 0.0
        self._calls, self._quiet, self._last = 0, quiet, reports * quiet

    def listen(self, timeout_s: float) -> tuple[dict[str, Any], ...]:
        self.now_s += 0.02
        self._calls += 1
        if self._calls % self._quiet:
            return ()
        if self._calls == self._last:
            self.said["built"] = {
                "execution_ns": [[1, None, 5]],
                "too_long_ns": [],
                "memory_bytes": 1,
                "reopening_s": 1,
                "much_slower": "",
            }
        return ({"kind": "answered"},)

    def failure(self) -> None:
        return None


def test_a_slow_form_is_given_up_only_if_it_reports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(process: Any) -> candidate_build.BuiltCandidate:
        monkeypatch.setattr(candidate_build, "time", types.SimpleNamespace(monotonic=lambda: process.now_s))
        return candidate_build._watch(process, lambda text: None, timeout_s=0.5, limit=None)

    assert watch(Talkative(10, quiet=5)).execution_ns == {Bucket(1): 5}  # a second in all
    with pytest.raises(TimeoutError, match="starting"):
        watch(Talkative(1, quiet=1000))


def test_a_slow_form_answers_as_many_samples_as_the_time_allows() -> None:
    slow, said = Sleeper(0.01), []
    slow.prepare(Bucket(1))
    sizes = {"batch_sizes": {None: 1}}
    answered = list(candidate_build._answers(slow, ZEROS * 4, on_answers=lambda: said.append(""), most_s=0.1, **sizes))
    numbers = [number for batch in answered for number in batch.indices]
    assert numbers == list(range(len(said))) and len(numbers) in (8, 16)
    everything = candidate_build._answers(slow, ZEROS * 2, on_answers=lambda: None, most_s=60, **sizes)
    assert [number for batch in everything for number in batch.indices] == list(range(16))


def test_measures_a_slow_model_once() -> None:
    slow = Sleeper(0.05)
    candidate_build.median_ns(slow, (np.zeros((1, 2), np.float32),), most_s=0.01)
    assert slow.runs == 1


def children() -> list[int]:
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]
