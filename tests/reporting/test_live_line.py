"""A log file is never silent for long, and holds whole lines only."""

import io
import time

from tfperf.reporting.live_line import LiveLine


def test_a_stage_that_lasts_is_told_in_a_log_file() -> None:
    stream = io.StringIO()
    line = LiveLine(stream, text=lambda: "preparing", interactive=False, silence_s=0.05)
    limit = time.monotonic() + 10
    while stream.getvalue().count("preparing") < 2 and time.monotonic() < limit:
        time.sleep(0.01)
    line.close()
    assert set(stream.getvalue().splitlines()) == {"preparing"}
    assert "\r" not in stream.getvalue()


def test_nothing_is_added_while_lines_come() -> None:
    stream = io.StringIO()
    line = LiveLine(stream, text=lambda: "preparing", interactive=False, silence_s=5)
    for number in range(5):
        line.write_lasting(f"epoch {number}")
        time.sleep(0.01)
    line.close()
    assert stream.getvalue().splitlines() == [f"epoch {number}" for number in range(5)]
