import pathlib
import time

import pytest

from tfperf.inference.heartbeat import Heartbeat
from tfperf.inference.recording import PHASES, Recording


@pytest.fixture
def recording(tmp_path: pathlib.Path) -> Recording:
    return Recording.create(tmp_path / "recording", capacity=200)


def test_says_how_much_is_loaded_while_it_loads(recording: Recording) -> None:
    recording.head[Recording.phase_word] = PHASES.index("loading samples")
    recording.head[Recording.loaded_word], recording.head[Recording.to_load_word] = 3, 12
    beat = Heartbeat(recording).beat()
    assert (beat.phase, beat.fraction, beat.elapsed_s, beat.queries, beat.p99_ns) == (
        "loading samples",
        0.25,
        0,
        0,
        None,
    )


def test_says_what_was_answered(recording: Recording) -> None:
    heartbeat = Heartbeat(recording)
    heartbeat.beat()
    answer(recording, 100)
    beat = heartbeat.beat()
    assert (beat.queries, beat.samples, beat.p99_ns) == (100, 100, 100.0)
    assert beat.rate > 0
    assert 0 < beat.elapsed_s < 60
    assert heartbeat.begun and not heartbeat.waiting


def test_has_no_percentile_of_rows_that_were_not_kept(recording: Recording) -> None:
    answer(recording, 201)
    assert Heartbeat(recording).beat().p99_ns is None


def test_has_no_percentile_where_latencies_mean_nothing(recording: Recording) -> None:
    answer(recording, 100)
    assert Heartbeat(recording, percentile=False).beat().p99_ns is None


def test_knows_how_long_a_query_has_waited(recording: Recording) -> None:
    heartbeat = Heartbeat(recording)
    recording.head[Recording.issued_word] = 1
    heartbeat.beat()
    deadline = time.perf_counter() + 5
    while not heartbeat.idle_s:
        heartbeat.beat()
        assert time.perf_counter() < deadline
    assert heartbeat.waiting
    answer(recording, 1)
    heartbeat.beat()
    assert (heartbeat.idle_s, heartbeat.waiting) == (0.0, False)


def test_time_without_a_query_is_not_time_that_a_query_waited(recording: Recording) -> None:
    heartbeat = Heartbeat(recording)
    answer(recording, 3)
    heartbeat.beat()
    idle_for(heartbeat, 0.01)
    recording.head[Recording.issued_word] = 4
    heartbeat.beat()
    assert (heartbeat.waiting, heartbeat.idle_s) == (True, 0.0)
    idle_for(heartbeat, 0.01)
    recording.head[Recording.issued_word] = 5  # another query that nobody answers changes nothing
    heartbeat.beat()
    assert heartbeat.idle_s > 0.01


def test_counts_an_answer_between_two_looks_as_movement(recording: Recording) -> None:
    heartbeat = Heartbeat(recording)
    recording.head[Recording.issued_word] = 1
    heartbeat.beat()
    idle_for(heartbeat, 0.01)
    answer(recording, 1)
    recording.head[Recording.issued_word] = 2
    heartbeat.beat()
    assert (heartbeat.waiting, heartbeat.idle_s) == (True, 0.0)


def idle_for(heartbeat: Heartbeat, seconds: float) -> None:
    deadline = time.perf_counter() + 5
    while heartbeat.idle_s <= seconds:
        heartbeat.beat()
        assert time.perf_counter() < deadline


def answer(recording: Recording, count: int) -> None:
    for row in range(min(count, recording.capacity)):
        recording.queries[0][row], recording.queries[1][row] = time.perf_counter_ns(), 100
    for word in (Recording.issued_word, Recording.completed_word, Recording.samples_word):
        recording.head[word] = count
