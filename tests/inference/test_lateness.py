import pathlib

import pytest

from tfperf.inference import lateness
from tfperf.inference.lateness import Lateness
from tfperf.inference.recording import Recording

BOUND_NS = 100


@pytest.fixture
def recording(tmp_path: pathlib.Path) -> Recording:
    return Recording.create(tmp_path / "recording", capacity=200)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time in nanoseconds, to be set."""
    now = [1000]
    monkeypatch.setattr(lateness.time, "perf_counter_ns", lambda: now[0])
    return now


def test_counts_what_was_answered_over_the_bound_once(recording: Recording, clock: list[int]) -> None:
    watched = Lateness(recording, bound_ns=BOUND_NS)
    answer(recording, [90, 100, 101])
    assert watched.late() == 1
    clock[0] += 1
    answer(recording, [90, 500])
    assert [watched.late(), watched.late()] == [2, 2]


def test_counts_what_waits_for_longer_than_the_bound(recording: Recording, clock: list[int]) -> None:
    watched = Lateness(recording, bound_ns=BOUND_NS)
    issue(recording, 8)
    assert watched.late() == 0
    clock[0] += BOUND_NS - 1
    assert watched.late() == 0
    issue(recording, 20)
    clock[0] += 1
    assert watched.late() == 8
    answer(recording, [90, 90, 150])
    assert watched.late() == 1 + (8 - 3)


def test_counts_on_where_rows_are_overwritten(recording: Recording, clock: list[int]) -> None:
    watched = Lateness(recording, bound_ns=BOUND_NS)
    answer(recording, [500] * 150)
    assert watched.late() == 150
    answer(recording, [500, 90] * 50)
    assert watched.late() == 200
    answer(recording, [500] * 250)  # 50 of them were overwritten before they were read
    assert watched.late() == 400


def issue(recording: Recording, more: int) -> None:
    recording.head[Recording.issued_word] += more


def answer(recording: Recording, latencies_ns: list[int]) -> None:
    done = recording.counter("completed")
    for row, latency_ns in enumerate(latencies_ns, done):
        recording.queries[1][row % recording.capacity] = latency_ns
    recording.head[Recording.completed_word] = done + len(latencies_ns)
