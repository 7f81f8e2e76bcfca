import pathlib
import time

import pytest

from tfperf.inference.progress import ProgressReader
from tfperf.inference.recording import PHASES, Recording


@pytest.fixture
def recording(tmp_path: pathlib.Path) -> Recording:
    return Recording.create(tmp_path / "recording", capacity=200)


def test_says_how_much_is_loaded_while_it_loads(recording: Recording) -> None:
    recording.head[Recording.phase_word] = PHASES.index("loading samples")
    recording.head[Recording.loaded_word], recording.head[Recording.to_load_word] = 3, 12
    progress = ProgressReader(recording).read()
    assert (progress.phase, progress.fraction, progress.elapsed_s, progress.queries, progress.p99_ns) == (
        "loading samples",
        0.25,
        0,
        0,
        None,
    )


def test_says_what_was_answered(recording: Recording) -> None:
    reader = ProgressReader(recording)
    reader.read()
    answer(recording, 100)
    progress = reader.read()
    assert (progress.queries, progress.samples, progress.p99_ns) == (100, 100, 100.0)
    assert progress.rate > 0
    assert 0 < progress.elapsed_s < 60
    assert reader.begun and not reader.waiting


def test_takes_the_percentile_of_the_last_rows_that_are_kept(recording: Recording) -> None:
    answer(recording, 150)
    reader = ProgressReader(recording)
    began_s = reader.read().elapsed_s
    answer(recording, 201)
    recording.queries[0][0] = time.perf_counter_ns()  # row 200 lies where row 0 was
    progress = reader.read()
    assert progress.p99_ns == 100.0
    assert progress.elapsed_s >= began_s


def test_has_no_percentile_where_latencies_mean_nothing(recording: Recording) -> None:
    answer(recording, 100)
    assert ProgressReader(recording, percentile=False).read().p99_ns is None


def test_knows_how_long_a_query_has_waited(recording: Recording) -> None:
    reader = ProgressReader(recording)
    recording.head[Recording.issued_word] = 1
    reader.read()
    deadline = time.perf_counter() + 5
    while not reader.idle_s:
        reader.read()
        assert time.perf_counter() < deadline
    assert reader.waiting
    answer(recording, 1)
    reader.read()
    assert (reader.idle_s, reader.waiting) == (0.0, False)


def test_time_without_a_query_is_not_time_that_a_query_waited(recording: Recording) -> None:
    reader = ProgressReader(recording)
    answer(recording, 3)
    reader.read()
    idle_for(reader, 0.01)
    recording.head[Recording.issued_word] = 4
    reader.read()
    assert (reader.waiting, reader.idle_s) == (True, 0.0)
    idle_for(reader, 0.01)
    recording.head[Recording.issued_word] = 5  # another query that nobody answers changes nothing
    reader.read()
    assert reader.idle_s > 0.01


def test_counts_an_answer_between_two_looks_as_movement(recording: Recording) -> None:
    reader = ProgressReader(recording)
    recording.head[Recording.issued_word] = 1
    reader.read()
    idle_for(reader, 0.01)
    answer(recording, 1)
    recording.head[Recording.issued_word] = 2
    reader.read()
    assert (reader.waiting, reader.idle_s) == (True, 0.0)


def idle_for(reader: ProgressReader, seconds: float) -> None:
    deadline = time.perf_counter() + 5
    while reader.idle_s <= seconds:
        reader.read()
        assert time.perf_counter() < deadline


def answer(recording: Recording, count: int) -> None:
    for row in range(min(count, recording.capacity)):
        recording.queries[0][row], recording.queries[1][row] = time.perf_counter_ns(), 100
    for word in (Recording.issued_word, Recording.completed_word, Recording.samples_word):
        recording.head[word] = count
