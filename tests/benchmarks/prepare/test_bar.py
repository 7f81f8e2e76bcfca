"""A log file gets lines, a terminal a bar that is redrawn."""

import io
import time

import pytest

from tfperf.benchmarks.prepare import bar as bars
from tfperf.benchmarks.prepare.bar import bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def count(stream: io.StringIO, total: int = 1000) -> str:
    with bar(total, unit="images", stream=stream) as progress:
        for _ in range(total):
            progress.update()
    return stream.getvalue()


def test_a_log_file_gets_whole_lines_and_few() -> None:
    written = count(io.StringIO())
    assert "\r" not in written
    assert written.splitlines()[-1].startswith("100%")
    assert len(written.splitlines()) <= 2


def test_a_terminal_gets_a_bar() -> None:
    assert count(Terminal()).count("\r") > 0


def test_nothing_to_do_shows_nothing() -> None:
    assert count(io.StringIO(), total=0) == ""


@pytest.mark.parametrize(("stream", "end"), [(Terminal(), "\r"), (io.StringIO(), "\n")])
def test_the_clock_moves_while_nothing_is_finished(
    stream: io.StringIO, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "_TICK_S", 0.01)
    monkeypatch.setattr(bars, "_SILENCE_S", 0.02)
    with bar(1000, unit="images", stream=stream):
        while stream.getvalue().count(end) < 4:
            time.sleep(0.01)
    assert "0/1000" in stream.getvalue().split(end)[3]


def test_a_log_file_gets_a_line_only_after_a_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "_TICK_S", 0.01)
    stream = io.StringIO()
    with bar(1000, unit="images", stream=stream):
        time.sleep(0.1)
    assert len(stream.getvalue().splitlines()) == 2
