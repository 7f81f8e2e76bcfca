"""tfperf's own loop is logged in MLPerf's words, and the clock stops at the evaluation that reaches the target."""

import dataclasses

import keras
import numpy as np
import pytest

from tfperf.errors import UsageError
from tfperf.events import Event
from tfperf.training.goal import Goal
from tfperf.training.meter import Meter, Unit
from tfperf.training.meter_callback import MeterCallback

STEPS, BATCH = 4, 8


@dataclasses.dataclass
class Kept:
    """A sink that keeps events and counts flushes."""

    events: list[Event] = dataclasses.field(default_factory=list)
    flushes: int = 0

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def flush(self) -> None:
        self.flushes += 1

    def close(self) -> None:
        """Nothing is open."""

    def keys_in_the_log(self) -> list[tuple[str, object]]:
        """Keys in order, with what tells one from the next."""
        return [
            (event.key, event.metadata.get("status") or event.metadata.get("epoch_num") or dict(event.metadata) or None)
            for event in self.events
            if event.key != "tracked_stats"
        ]

    def only(self, key: str) -> list[Event]:
        return [event for event in self.events if event.key == key]


def drive(meter: Meter, qualities: list[float], *, every: int = 1) -> keras.Model:
    """Calls the hooks as a loop would, with these qualities at the evaluations, after `every` epochs each."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    callback = MeterCallback(meter, block=lambda epoch: every)
    callback.set_model(model)
    model.stop_training = False
    meter.start()
    for epoch in range(len(qualities) * every):
        callback.on_epoch_begin(epoch)
        for step in range(STEPS):
            callback.on_train_batch_begin(step)
            callback.on_train_batch_end(step, {"loss": 1.0})
        if (epoch + 1) % every == 0:
            callback.on_test_begin()
            callback.on_test_end({"loss": 0.5, "accuracy": qualities[epoch // every]})
        callback.on_epoch_end(epoch, {})
        if model.stop_training:
            break
    return model


def make(sink: Kept, *, target: float = 0.75, unit: Unit = "epochs") -> Meter:
    goal = Goal(metric="accuracy", target=target, mode="max")
    return Meter(sink, goal=goal, unit=unit, batch_size=BATCH, compiled=True)


def test_stops_at_the_quality_target() -> None:
    sink = Kept()
    meter = make(sink)
    model = drive(meter, [0.5, 0.75, 0.9])
    assert model.stop_training
    assert (meter.reached, meter.quality, len(meter.epochs)) == (True, 0.75, 2)
    assert meter.examples == 2 * STEPS * BATCH


def test_counts_blocks_epochs_and_evaluations_from_one() -> None:
    sink = Kept()
    drive(make(sink), [0.5, 0.8], every=2)
    first, second = ({"first_epoch_num": number, "epoch_count": 2} for number in (1, 3))
    assert sink.keys_in_the_log() == [
        ("init_stop", None),
        ("run_start", None),
        ("block_start", first),
        ("epoch_start", 1),
        ("epoch_stop", 1),
        ("epoch_start", 2),
        ("epoch_stop", 2),
        ("eval_start", 2),
        ("eval_accuracy", 2),
        ("eval_stop", 2),
        ("block_stop", first),
        ("block_start", second),
        ("epoch_start", 3),
        ("epoch_stop", 3),
        ("epoch_start", 4),
        ("epoch_stop", 4),
        ("eval_start", 4),
        ("eval_accuracy", 4),
        ("eval_stop", 4),
        ("block_stop", second),
        ("run_stop", "success"),
    ]


@pytest.mark.parametrize(("quality", "stops"), [(0.3, False), (0.8, True)])
@pytest.mark.parametrize("unit", ["epochs", "samples"])
def test_an_evaluation_before_the_first_step_reaches_no_target(quality: float, stops: bool, unit: Unit) -> None:
    sink = Kept()
    meter = make(sink, unit=unit)
    callback = MeterCallback(meter)
    callback.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
    callback.model.stop_training = False
    meter.start()
    callback.on_test_begin()
    callback.on_test_end({"loss": 0.5, "accuracy": quality})
    assert callback.model.stop_training == stops
    assert (meter.untrained_quality, meter.quality, meter.reached, meter.live) == (quality, None, False, True)
    assert [(event.key, event.value, dict(event.metadata)) for event in sink.events[2:]] == [
        ("eval_start", None, {"epoch_num": 0}),
        ("eval_accuracy", quality, {"step": 0, "epoch_num": 0}),
        ("tracked_stats", {"val_loss": 0.5, "val_accuracy": quality}, {"step": 0, "epoch_num": 0}),
        ("eval_stop", None, {"epoch_num": 0}),
    ]


def test_the_deciding_evaluation_ends_the_clock_before_other_callbacks_run() -> None:
    sink = Kept()
    meter = make(sink)
    drive(meter, [0.8])
    at_end = meter.run_s
    (stop,), (accuracy,) = sink.only("run_stop"), sink.only("eval_accuracy")
    assert stop.time_s == accuracy.time_s
    assert meter.run_s == at_end, "the clock goes on"


def test_the_clock_starts_with_the_stamp_of_run_start_and_not_after_a_slow_disk() -> None:
    class Slow(Kept):
        def emit(self, event: Event) -> None:
            super().emit(event)
            if event.key == "run_start":
                at_start.append(meter.run_s)

    at_start: list[float] = []
    meter = make(Slow())
    drive(meter, [0.8])
    assert at_start[0] > 0, "run_start was told before the clock ran"


def test_a_run_that_misses_ends_aborted_with_its_reason() -> None:
    sink = Kept()
    meter = make(sink)
    drive(meter, [0.5, 0.6])
    meter.abort("the target was not reached in 2 epochs")
    (stop,) = sink.only("run_stop")
    assert stop.metadata == {"status": "aborted", "epoch_num": 2, "reason": "the target was not reached in 2 epochs"}


def test_abort_after_success_changes_nothing() -> None:
    sink = Kept()
    meter = make(sink)
    drive(meter, [0.8])
    meter.abort("too late")
    assert [stop.metadata["status"] for stop in sink.only("run_stop")] == ["success"]


def test_abort_before_the_start_tells_nothing() -> None:
    sink = Kept()
    make(sink).abort("never began")
    assert sink.events == []


def test_stats_carry_loss_speed_and_learning_rate() -> None:
    sink = Kept()
    drive(make(sink), [0.5])
    during, held_out = sink.only("tracked_stats")[0], sink.only("tracked_stats")[-1]
    assert {"loss", "learning_rate", "throughput", "step_time_ms"} <= set(during.value)
    assert during.value["learning_rate"] == 0.5
    assert np.isclose(during.value["throughput"], BATCH / during.value["step_time_ms"] * 1e3)
    assert held_out.value == {"val_loss": 0.5, "val_accuracy": 0.5}
    assert held_out.metadata == {"step": STEPS, "epoch_num": 1}


def test_flushes_at_the_start_and_at_each_evaluation() -> None:
    sink = Kept()
    drive(make(sink), [0.1, 0.2, 0.3])
    assert sink.flushes == 4


def test_a_metric_that_the_model_does_not_report_is_an_error() -> None:
    meter = make(Kept())
    callback = MeterCallback(meter)
    meter.start()
    with pytest.raises(UsageError, match=r"The target's metric is 'accuracy', the model reports loss, top_5\."):
        callback.set_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
        callback.model.compile("sgd", "mse")
        callback.on_epoch_begin(0)
        callback.on_test_begin()
        callback.on_test_end({"loss": 1.0, "top_5": 0.5})
