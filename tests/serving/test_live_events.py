"""A measurement writes how far it has come, at most every five seconds and only while it measures."""

from tfperf.events import Event
from tfperf.inference.job import RunProgress
from tfperf.serving.live_events import LiveEvents


class Kept:
    """A sink that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None: ...

    def close(self) -> None: ...


def test_progress_is_written_every_five_seconds_while_measuring() -> None:
    sink, now = Kept(), [0.0]
    live = LiveEvents(sink, step="performance", clock=lambda: now[0])
    for second in range(18):
        now[0] = float(second)
        phase = "measuring" if second >= 4 else "warming up"
        live.update(RunProgress(phase=phase, elapsed_s=second - 4, queries=second, samples=8 * second, rate=80.0))
    assert [event.value["queries"] for event in sink.events] == [5, 10, 15]
    assert sink.events[0].key == "serving_progress"
    assert sink.events[0].value == {"elapsed_s": 1.0, "queries": 5, "samples": 40, "rate": 80.0}
    assert sink.events[0].metadata == {"step": "performance"}
