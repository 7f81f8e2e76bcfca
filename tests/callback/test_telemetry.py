"""The callback and `measure` record the machine if they are asked to."""

import keras
import numpy as np
import pytest

import tfperf
from tfperf.errors import ArgumentError


def fitted(tmp_path, **options):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = tfperf.MLPerfCallback(tmp_path / "run", **options)
    model.fit(np.ones((8, 4)), np.ones(8), verbose=0, callbacks=[callback])
    return callback.result


def test_the_callback_records_on_demand(tmp_path):
    found = fitted(tmp_path, telemetry_hz=10)
    assert {each.window for each in found.energy} == {"training"}
    assert found.use[0].seconds == pytest.approx(found.run_s, abs=1e-3)
    assert (tmp_path / "run" / "telemetry.jsonl").exists()


def test_the_callback_records_nothing_by_default(tmp_path):
    found = fitted(tmp_path)
    assert (found.energy, found.use) == ((), ())
    assert not (tmp_path / "run" / "telemetry.jsonl").exists()


def test_a_measured_loop_records_on_demand(tmp_path):
    with tfperf.measure(tmp_path / "run", target=0.5, global_batch_size=2, telemetry_hz=10) as run:
        run.start()
        run.step_end()
        run.evaluated(0.6)
    assert {each.window for each in run.result.energy} == {"training"}


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (11, "telemetry_hz: rate_hz must be 0.1 to 10, or 0 "),
        (True, "must be a number, got True"),
        ("1", "must be a number"),
    ],
)
def test_a_rate_that_is_none_is_refused(tmp_path, rate, message):
    with pytest.raises(ArgumentError, match=message):
        tfperf.MLPerfCallback(tmp_path / "run", telemetry_hz=rate)
