"""A log file is never silent for long, and holds whole lines only."""

import io
import time

from tfperf.reporting.live_line import LiveLine

DEADLINE_S = 10


def test_a_stage_that_lasts_is_told_in_a_log_file() -> None:
    stream = io.StringIO()
    line = LiveLine(stream, text=lambda: "preparing", interactive=False, silence_s=0.05)
    limit = time.monotonic() + DEADLINE_S
    while stream.getvalue().count("preparing") < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    line.close()
    assert set(stream.getvalue().splitlines()) == {"preparing"}
    assert "\r" not in stream.getvalue()


def test_a_line_that_comes_meanwhile_ends_the_silence() -> None:
    stream, asked = io.StringIO(), []

    def text() -> str:
        asked.append(time.monotonic())
        line.write_lasting("epoch 1")
        return "preparing"

    line = LiveLine(stream, text=text, interactive=False, silence_s=0.5)
    limit = time.monotonic() + DEADLINE_S
    while not asked and time.monotonic() < limit:
        time.sleep(0.01)
    line.close()
    assert set(stream.getvalue().splitlines()) == {"epoch 1"}
