"""A log file gets lines, a terminal a bar that is redrawn."""

import io

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
