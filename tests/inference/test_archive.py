"""A recording with more rows than it keeps is archived: what is counted is exact, and what is kept is evenly spaced."""

import collections
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from tfperf.inference.archive import Archive
from tfperf.inference.recording import Recording

CAPACITY = 1000


class Writer:
    """Writes rows as a SUT does; row number n was issued at 10 n, and took as long as is given."""

    def __init__(self, path: pathlib.Path) -> None:
        self.recording = Recording.create(path, capacity=CAPACITY)
        self.latencies: list[int] = []
        self.sizes: list[int] = []

    def write(self, rows: int, latency_ns: Callable[[int], int]) -> None:
        for number in range(len(self.latencies), len(self.latencies) + rows):
            at, latency, size = number % CAPACITY, latency_ns(number), (1, 2, 4)[number % 7 % 3]
            self.latencies.append(latency)
            self.sizes.append(size)
            for column, value in zip(self.recording.queries, (10 * number, latency, 0), strict=True):
                column[at] = value
            for column, value in zip(
                self.recording.executions, (10 * number, 1, 2, 1, 0, size, 100 * size), strict=True
            ):
                column[at] = value
        for word in (Recording.completed_word, Recording.executions_word):
            self.recording.head[word] = len(self.latencies)


@pytest.fixture
def writer(tmp_path: pathlib.Path) -> Writer:
    return Writer(tmp_path / "recording")


def test_nothing_is_read_while_nothing_can_be_overwritten(writer: Writer) -> None:
    archive = Archive(writer.recording)
    writer.write(CAPACITY // 2, lambda number: number)
    archive.read()
    assert (archive.queries.seen, archive.span_ns) == (0, None)
    assert writer.recording.complete
    assert writer.recording.query("latency_ns").tolist() == writer.latencies


@pytest.mark.parametrize("kept", [100, 64, 10**6])
def test_counts_every_row_and_keeps_evenly_spaced_ones(writer: Writer, kept: int) -> None:
    random = np.random.default_rng(0)
    archive = Archive(writer.recording, kept=kept, slowest=50)
    for rows in (400, 300, 1, 299, *[350] * 8, 13):
        writer.write(rows, lambda number: int(random.integers(1, 10**6)))
        archive.read()
    archive.read(ended=True)
    total = len(writer.latencies)
    assert (archive.queries.seen, archive.executions.seen, archive.lost) == (total, total, 0)
    assert archive.slowest_ns.tolist() == sorted(writer.latencies)[-50:]
    assert archive.executed == collections.Counter((size, 100 * size) for size in writer.sizes)
    every = archive.queries.every
    assert every == {100: 64, 64: 64, 10**6: 1}[kept]
    assert archive.query("issued_ns").tolist() == [10 * number for number in range(0, total, every)]
    assert archive.query("latency_ns").tolist() == writer.latencies[::every]
    assert archive.execution("batch_size").tolist() == writer.sizes[::every]
    assert archive.span_ns == (0, max(10 * number + took for number, took in enumerate(writer.latencies)))
    assert not writer.recording.complete


def test_rows_that_were_overwritten_are_counted_as_lost(writer: Writer) -> None:
    archive = Archive(writer.recording)
    writer.write(2500, lambda number: number)
    archive.read(ended=True)
    assert (archive.queries.seen, archive.queries.lost, archive.lost) == (2500, 1500, 3000)
    assert archive.query("latency_ns").tolist() == list(range(1500, 2500))
    assert sum(archive.executed.values()) == 1000


def test_rows_that_are_written_while_they_are_read_are_not_taken(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Recording.rows

    def slowly(*arguments):
        found = read(*arguments)
        if len(writer.latencies) < 1500:
            writer.write(600, lambda number: number)
        return found

    archive = Archive(writer.recording)
    writer.write(900, lambda number: number)
    monkeypatch.setattr(Recording, "rows", slowly)
    archive.read()
    monkeypatch.undo()
    archive.read(ended=True)
    # Row 500 was the first that was whole when 1500 were written; a margin is left out as well.
    assert archive.query("latency_ns").tolist() == list(range(500 + CAPACITY // 8, 1500))
    assert archive.queries.lost == 500 + CAPACITY // 8


def test_the_last_rows_of_a_recording_come_in_order(writer: Writer) -> None:
    writer.write(2345, lambda number: number)
    assert writer.recording.query("latency_ns").tolist() == list(range(1345, 2345))
    assert writer.recording.execution("batch_size").tolist() == writer.sizes[1345:]
